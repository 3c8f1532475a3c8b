// What is between the hosts: one namespace, and in it a veth to each host. Pure: text for sh, ip and tc.
import { availableParallelism } from 'node:os';
import type { DevHost, Underlay } from './plan';

/** Object files of the programs of ports. */
export interface UnderlayObjects {
  /** Of bpf/pass.bpf.c. */
  readonly pass: string;
  /** Of bpf/switch.bpf.c. */
  readonly switch: string;
}

/** A script for sh, and its arguments. */
export interface Script {
  readonly script: string;
  readonly args: readonly string[];
}

/** Where the holder of a direct underlay pins what bpf/switch.bpf.c calls `queued`. */
export const queuedPin = '/sys/fs/bpf/queued';

/** $1 and $2 are the objects, $3 the mask of all CPUs; `ip -batch` lines come by stdin. */
const setups: Readonly<Record<Underlay, string>> = {
  bridge: `
for rule in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -w "$rule" ] || echo 0 >"$rule"; done
ip -batch -`,
  routed: `
ip -batch -
echo 1 >/proc/sys/net/ipv4/ip_forward`,
  // Frames pass the receive queue of the host's NIC by, and with it the RPS that keeps a flow in order: it is at the port.
  direct: `
bpftool prog load "$2" /sys/fs/bpf/switch type classifier pinmaps /sys/fs/bpf
ip -batch -
ip -oneline link show type veth | while read -r _ port _; do
  port=\${port%%@*}
  for queue in /sys/class/net/"$port"/queues/rx-*; do echo "$3" >"$queue/rps_cpus"; done
  echo "qdisc add dev $port clsact"
  echo "filter add dev $port ingress bpf direct-action object-pinned /sys/fs/bpf/switch"
done | tc -batch -`,
};

/** Makes the underlay in a network and mount namespace that are its own; says `ready` when it is. */
export const underlaySetup = (kind: Underlay, objects: UnderlayObjects): Script => ({
  script: `
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
bpftool prog load "$1" /sys/fs/bpf/pass type xdp
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
${setups[kind]}
echo ready`,
  args: [objects.pass, objects.switch, cpuMask(availableParallelism())],
});

/**
 * Afterwards it follows link events: a port whose largest MTU is below a veth's 65535 has a peer with native XDP, and only
 * with a program of its own does it receive what the peer's program transmits (docs/decisions/0003-xdp-on-veth-in-dev.md).
 * A direct underlay must also bring it its frames through its queue, before the peer can be told that all is well.
 */
export const followLinks = `
exec </dev/null >/dev/null
queued() {
  [ ! -e ${queuedPin} ] || bpftool map update pinned ${queuedPin} key $(($1 & 255)) $(($1 >> 8)) 0 0 value $2 0 0 0
}
while :; do
  ip -details -oneline monitor link | while read -r number port rest; do
    number=\${number%:}
    port=\${port%%@*}
    case $rest in *' xdp'*) program=yes ;; *) program=no ;; esac
    case $rest in
      *' maxmtu 65535 '*) [ $program = no ] || { ip link set dev "$port" xdp off && queued "$number" 0; } || : ;;
      *' maxmtu '*) [ $program = yes ] || { queued "$number" 1 && ip link set dev "$port" xdp pinned /sys/fs/bpf/pass; } || : ;;
    esac
  done
  sleep 1
done`;

/** Room for loopback and a bridge below it. As bpf/switch.bpf.c counts. */
const firstPort = 0x100;

/** The interface number of a host's port, and the MAC address that names it to the switch. */
export const portOf = (i: number) => {
  const number = firstPort + i;
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  return { number, mac: `02:4d:67:7a:${hex(number >> 8)}:${hex(number & 255)}` };
};

/** A host's port, and the process in whose network namespace its eth0 is to be. */
export interface Wire {
  readonly host: DevHost;
  readonly pid: number;
}

/** Lines for `ip -batch` in the underlay's namespace: a veth to each host, named like the host. */
export function underlayBatch(kind: Underlay, wires: readonly Wire[], mtu: number): string {
  const lines =
    kind === 'bridge' ? [`link add underlay mtu ${mtu} type bridge mcast_snooping 0`, 'link set underlay up'] : [];
  for (const [i, { host, pid }] of wires.entries()) {
    const { number, mac } = portOf(i);
    const [index, address] = kind === 'direct' ? [` index ${number}`, ` address ${mac}`] : ['', ''];
    lines.push(`link add ${host.name}${index} mtu ${mtu} type veth peer name eth0${address} mtu ${mtu} netns ${pid}`);
    if (host.gateway !== undefined) lines.push(`address add ${host.gateway}/${host.prefix_bits} dev ${host.name}`);
    lines.push(`link set ${host.name}${kind === 'bridge' ? ' master underlay' : ''} up`);
  }
  return `${lines.join('\n')}\n`;
}

/** Lines for `ip -batch` in a host's network namespace. */
export const hostBatch = ({ address, prefix_bits, gateway }: DevHost): string =>
  [
    'link set lo up',
    `address add ${address}/${prefix_bits} dev eth0`,
    'link set eth0 up',
    ...(gateway === undefined ? [] : [`route add default via ${gateway}`]),
    '',
  ].join('\n');

/** As /sys/class/net/…/rps_cpus wants it: all CPUs. */
export const cpuMask = (cpus: number): string => {
  const words = Math.ceil(cpus / 32);
  const top = cpus % 32 === 0 ? 0xffffffff : 2 ** (cpus % 32) - 1;
  return [top.toString(16), ...Array.from({ length: words - 1 }, () => 'ffffffff')].join(',');
};
