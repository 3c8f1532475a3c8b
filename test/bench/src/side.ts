import { availableParallelism } from 'node:os';
import type { Underlay } from './options';
import { type Command, run } from './process';

/** Somewhere to run programs: a command line that stands in front of another. */
export type Place = Command;

/** One of the two that are compared: three hosts, an endpoint on the first and one on the second. */
export interface Side {
  readonly name: 'megrez' | 'vxlan';
  readonly endpoints: readonly [Endpoint, Endpoint];
  readonly hosts: readonly Place[];
  readonly underlay: Place;
  /** Ports of the underlay, in the order of the hosts. */
  readonly ports: readonly string[];
  /** The first two hosts themselves, for what the underlay does by itself. */
  readonly bare?: readonly [Endpoint, Endpoint];
  /** MTU of the endpoints' interfaces. */
  readonly mtu: number;
  close(): Promise<void>;
}

export interface Endpoint {
  readonly place: Place;
  readonly address: string;
}

const features: Readonly<Record<Underlay, Command>> = {
  veth: ['tso', 'on', 'gso', 'on', 'tx-udp_tnl-segmentation', 'on', 'tx-udp_tnl-csum-segmentation', 'on'],
  wire: ['tso', 'off', 'gso', 'off', 'tx-udp_tnl-segmentation', 'off', 'tx-udp_tnl-csum-segmentation', 'off'],
};

/** Makes both ends of every host's link the kind of underlay that is wanted. */
export async function setUnderlay({ hosts, underlay, ports }: Side, kind: Underlay, signal: AbortSignal) {
  for (const host of hosts) {
    await run([...host, 'ethtool', '-K', 'eth0', ...features[kind], 'gro', 'on'], signal);
  }
  for (const port of ports) {
    // A veth's receiver aggregates only what a sender without TSO puts in; a wire itself aggregates nothing.
    await run([...underlay, 'ethtool', '-K', port, ...features[kind], 'gro', 'off'], signal);
  }
}

/**
 * Lets the hosts' NICs spread received flows over all CPUs, or leaves them on the first. Which CPU a flow gets is the dice
 * of a hash, and a second one costs an interrupt: right for throughput, and noise in a round trip.
 */
export async function setSpreading({ hosts }: Side, spread: 'all CPUs' | 'first CPU', signal: AbortSignal) {
  const mask = spread === 'all CPUs' ? cpuMask(availableParallelism()) : '1';
  const script = `for queue in /sys/class/net/eth0/queues/rx-*; do echo ${mask} >$queue/rps_cpus; done`;
  for (const host of hosts) await run([...host, 'sh', '-euc', script], signal);
}

/** As `megrez dev` sets it. */
export const cpuMask = (cpus: number) => (2 ** Math.min(cpus, 32) - 1).toString(16);

const compared = [
  ...['tcp-segmentation-offload', 'generic-segmentation-offload', 'generic-receive-offload'],
  ...['tx-checksumming', 'tx-udp_tnl-segmentation', 'rx-gro-list', 'rx-udp-gro-forwarding'],
];

/**
 * What may not differ between the two sides, or the comparison is none: offloads and RPS of every link that traffic
 * crosses. The third host is left out: megrez's bouncer there sees no data and may run XDP, which the other side has not.
 */
export async function conditions(side: Side, signal: AbortSignal): Promise<readonly string[]> {
  const found: string[] = [];
  const look = async (name: string, place: Place, device: string) => {
    const text = await run([...place, 'ethtool', '-k', device], signal);
    for (const feature of compared) found.push(`${name} ${feature}: ${text.match(`${feature}: (\\w+)`)?.[1]}`);
  };
  for (const [i, host] of side.hosts.slice(0, 2).entries()) {
    await look(`host ${i + 1} eth0`, host, 'eth0');
    const masks = await run([...host, 'sh', '-c', 'cat /sys/class/net/eth0/queues/rx-*/rps_cpus'], signal);
    found.push(`host ${i + 1} eth0 rps: ${masks.trim().split('\n').join(' ')}`);
    await look(`port ${i + 1}`, side.underlay, side.ports[i] ?? '');
  }
  for (const [i, { place }] of side.endpoints.entries()) await look(`endpoint ${i + 1} eth0`, place, 'eth0');
  return found;
}
