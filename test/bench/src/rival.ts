/**
 * The same three hosts with the kernel's own means: in each a bridge with the endpoint's veth and a VXLAN device (static
 * flooding to the other two, addresses learnt). The underlay is made by the code of `megrez dev`.
 */
import { findProgram, hostBatch, planHosts, underlayBatch, underlaySetup } from '@megrez/dev';
import type { BenchUnderlay } from './options';
import { line, type Running, run, start } from './process';
import { type Place, type Side, setSpreading } from './side';

const underlay_mtu = 1500;
const encapsulation = 50;
const inner_mtu = underlay_mtu - encapsulation;
const hosts = planHosts(3);

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
echo ready`;

async function hold(text: string, args: readonly string[], signal: AbortSignal, input = ''): Promise<Namespace> {
  const shell = ['sh', '-euc', `${text}\nexec sleep infinity`, 'sh', ...args];
  const process = start(['unshare', '--mount', '--net', '--propagation', 'private', '--', ...shell], signal, input);
  await line(process);
  return {
    pid: process.pid,
    place: ['nsenter', '--mount', '--net', '--target', String(process.pid), '--'],
    process,
  };
}

const vxlanLines = (address: string, endpoint: number) => [
  `link add vxlan42 mtu ${inner_mtu} type vxlan id 42 dstport 4789 local ${address}`,
  `link add br0 mtu ${inner_mtu} type bridge mcast_snooping 0`,
  `link add ep mtu ${inner_mtu} type veth peer name eth0 mtu ${inner_mtu} netns ${endpoint}`,
  ...['vxlan42', 'ep'].map((port) => `link set ${port} master br0 up`),
  'link set br0 up',
];

const floodLines = (own: string) =>
  hosts
    .filter(({ address }) => address !== own)
    .map(({ address }) => `fdb append 00:00:00:00:00:00 dev vxlan42 dst ${address}`);

export async function startRival(kind: BenchUnderlay, signal: AbortSignal): Promise<Side> {
  const made: Namespace[] = [];
  const make = async (text = script, args: readonly string[] = [], input = '') => {
    const namespace = await hold(text, args, signal, input);
    made.push(namespace);
    return namespace;
  };
  const batch = ({ place }: Namespace, program: string, lines: string) =>
    run([...place, program, '-batch', '-'], signal, lines);
  const text = (lines: readonly string[]) => `${lines.join('\n')}\n`;
  const close = async () => void (await Promise.all(made.map(({ process }) => process.stop())));
  try {
    const homes: Namespace[] = [];
    for (const _ of hosts) homes.push(await make());
    const wires = hosts.map((host, i) => ({ host, pid: homes[i]?.pid ?? 0 }));
    const setup = underlaySetup(kind, findProgram().ports);
    const underlay = await make(setup.script, setup.args, underlayBatch(kind, wires, underlay_mtu));
    const endpoints: { readonly place: Place; readonly address: string }[] = [];
    for (const [i, host] of hosts.entries()) {
      const [home, endpoint] = [homes[i] as Namespace, await make()];
      const address = `10.0.1.${11 + i}`;
      await batch(home, 'ip', hostBatch(host));
      await batch(home, 'ip', text(vxlanLines(host.address, endpoint.pid)));
      await batch(home, 'bridge', text(floodLines(host.address)));
      await batch(endpoint, 'ip', text([`address add ${address}/24 dev eth0`, 'link set eth0 up']));
      endpoints.push({ place: endpoint.place, address });
    }
    const [first, second] = endpoints;
    const [firstHost, secondHost] = homes;
    if (!first || !second || !firstHost || !secondHost) throw new Error('two hosts and endpoints are needed');
    const side: Side = {
      ...{ name: 'vxlan', kind, link: 'veth', endpoints: [first, second], hosts: homes.map(({ place }) => place) },
      ...{ underlay: underlay.place, ports: hosts.map(({ name }) => name), mtu: inner_mtu, close },
      bare: [
        { place: firstHost.place, address: hosts[0]?.address ?? '' },
        { place: secondHost.place, address: hosts[1]?.address ?? '' },
      ],
    };
    await setSpreading(side, 'all CPUs', signal);
    return side;
  } catch (error) {
    await close();
    throw error;
  }
}
