/**
 * The same three hosts with the kernel's own means: in each a bridge with the endpoint's veth and a VXLAN device (static
 * flooding to the other two, addresses learnt). The underlay is wired as `megrez dev` wires its own.
 */
import { line, type Running, run, start } from './process';
import { type Place, type Side, setSpreading } from './side';

const underlay_mtu = 1500;
const encapsulation = 50;
const inner_mtu = underlay_mtu - encapsulation;
const hosts = [1, 2, 3] as const;
const addressOf = (host: number) => `192.168.240.${10 + host}`;

interface Namespace {
  readonly pid: number;
  readonly place: Place;
  readonly process: Running;
}

const script = `
mount -t sysfs sysfs /sys
for rule in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -w "$rule" ] || echo 0 >"$rule"; done
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
ip link set lo up
echo ready
exec sleep infinity`;

async function hold(signal: AbortSignal): Promise<Namespace> {
  const process = start(
    ['unshare', '--mount', '--net', '--propagation', 'private', '--', 'sh', '-euc', script],
    signal,
  );
  await line(process);
  return {
    pid: process.pid,
    place: ['nsenter', '--mount', '--net', '--target', String(process.pid), '--'],
    process,
  };
}

const underlayLines = (host: number, pid: number) => [
  `link add r${host} mtu ${underlay_mtu} type veth peer name eth0 mtu ${underlay_mtu} netns ${pid}`,
  `link set r${host} master underlay up`,
];

const hostLines = (host: number, endpoint: number) => [
  `address add ${addressOf(host)}/20 dev eth0`,
  'link set eth0 up',
  `link add vxlan42 mtu ${inner_mtu} type vxlan id 42 dstport 4789 local ${addressOf(host)}`,
  `link add br0 mtu ${inner_mtu} type bridge mcast_snooping 0`,
  `link add ep mtu ${inner_mtu} type veth peer name eth0 mtu ${inner_mtu} netns ${endpoint}`,
  ...['vxlan42', 'ep'].map((port) => `link set ${port} master br0 up`),
  'link set br0 up',
];

const floodLines = (host: number) =>
  hosts
    .filter((other) => other !== host)
    .map((other) => `fdb append 00:00:00:00:00:00 dev vxlan42 dst ${addressOf(other)}`);

export async function startRival(signal: AbortSignal): Promise<Side> {
  const made: Namespace[] = [];
  const make = async () => {
    const namespace = await hold(signal);
    made.push(namespace);
    return namespace;
  };
  const batch = ({ place }: Namespace, program: string, lines: readonly string[]) =>
    run([...place, program, '-batch', '-'], signal, `${lines.join('\n')}\n`);
  const close = async () => void (await Promise.all(made.map(({ process }) => process.stop())));
  try {
    const underlay = await make();
    await batch(underlay, 'ip', [
      `link add underlay mtu ${underlay_mtu} type bridge mcast_snooping 0`,
      'link set underlay up',
    ]);
    const places: Place[] = [];
    const endpoints: { readonly place: Place; readonly address: string }[] = [];
    for (const host of hosts) {
      const [home, endpoint] = [await make(), await make()];
      const address = `10.0.1.${10 + host}`;
      await batch(underlay, 'ip', underlayLines(host, home.pid));
      await batch(home, 'ip', hostLines(host, endpoint.pid));
      await batch(home, 'bridge', floodLines(host));
      await batch(endpoint, 'ip', [`address add ${address}/24 dev eth0`, 'link set eth0 up']);
      places.push(home.place);
      endpoints.push({ place: endpoint.place, address });
    }
    const [first, second] = endpoints;
    const [firstHost, secondHost] = places;
    if (!first || !second || !firstHost || !secondHost) throw new Error('two hosts and endpoints are needed');
    const ports = hosts.map((host) => `r${host}`);
    const side: Side = {
      ...{ name: 'vxlan', endpoints: [first, second], hosts: places, underlay: underlay.place },
      ...{ ports, mtu: inner_mtu, close },
      bare: [
        { place: firstHost, address: addressOf(1) },
        { place: secondHost, address: addressOf(2) },
      ],
    };
    await setSpreading(side, 'all CPUs', signal);
    return side;
  } catch (error) {
    await close();
    throw error;
  }
}
