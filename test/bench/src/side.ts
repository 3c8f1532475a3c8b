import { availableParallelism } from 'node:os';
import { cpuMask, queuedPin } from '@megrez/dev';
import type { BenchUnderlay, Link } from './options';
import { type Command, run } from './process';

/** Somewhere to run programs: a command line that stands in front of another. */
export type Place = Command;

/** One of the two that are compared: three hosts, an endpoint on the first and one on the second. */
export interface Side {
  readonly name: 'megrez' | 'vxlan';
  readonly kind: BenchUnderlay;
  /** Of every host's link to the underlay. */
  readonly link: Link;
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

const features: Readonly<Record<Link, Command>> = {
  veth: ['tso', 'on', 'gso', 'on', 'tx-udp_tnl-segmentation', 'on', 'tx-udp_tnl-csum-segmentation', 'on'],
  wire: ['tso', 'off', 'gso', 'off', 'tx-udp_tnl-segmentation', 'off', 'tx-udp_tnl-csum-segmentation', 'off'],
};

/** How many hosts the traffic knows. Megrez's third has its own ways with its NIC: its bouncer there may run XDP. */
const trafficHosts = 2;

/** Makes both ends of every host's link of that kind. */
export async function withLink(side: Side, link: Link, signal: AbortSignal): Promise<Side> {
  const { kind, hosts, underlay, ports } = side;
  for (const host of hosts) {
    await run([...host, 'ethtool', '-K', 'eth0', ...features[link], 'gro', 'on'], signal);
  }
  for (const [i, port] of ports.entries()) {
    // A veth's receiver aggregates only what a sender without TSO puts in; a wire itself aggregates nothing.
    await run([...underlay, 'ethtool', '-K', port, ...features[link], 'gro', 'off'], signal);
    if (kind === 'direct' && i < trafficHosts) await setQueued(side, port, link === 'wire', signal);
  }
  return { ...side, link };
}

/** Only the receive queue of a NIC aggregates. */
async function setQueued({ underlay }: Side, port: string, queued: boolean, signal: AbortSignal): Promise<void> {
  const number = Number((await run([...underlay, 'cat', `/sys/class/net/${port}/ifindex`], signal)).trim());
  const key = [number & 255, number >> 8, 0, 0].map(String);
  const value = [queued ? '1' : '0', '0', '0', '0'];
  await run([...underlay, 'bpftool', 'map', 'update', 'pinned', queuedPin, 'key', ...key, 'value', ...value], signal);
}

/**
 * Lets the receivers' side spread flows over all CPUs, or leaves them on the first. Which CPU a flow gets is the dice of a
 * hash, and a second one costs an interrupt: right for throughput, and noise in a round trip. Where frames pass the
 * receive queue of the hosts' NICs by, the ports do it.
 */
export async function setSpreading(side: Side, spread: 'all CPUs' | 'first CPU', signal: AbortSignal) {
  const { kind, link, hosts, underlay, ports } = side;
  const mask = spread === 'all CPUs' ? cpuMask(availableParallelism()) : '1';
  const set = (place: Place, device: string, value: string) =>
    run(
      [
        ...place,
        'sh',
        '-euc',
        `for queue in /sys/class/net/${device}/queues/rx-*; do echo ${value} >$queue/rps_cpus; done`,
      ],
      signal,
    );
  for (const host of hosts) await set(host, 'eth0', mask);
  if (kind === 'direct') {
    for (const port of ports) await set(underlay, port, link === 'veth' ? mask : '0');
  }
}

const spreadingOf = async (place: Place, device: string, signal: AbortSignal): Promise<string> => {
  const masks = await run([...place, 'sh', '-c', `cat /sys/class/net/${device}/queues/rx-*/rps_cpus`], signal);
  return masks.trim().split('\n').join(' ');
};

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
  for (const [i, host] of side.hosts.slice(0, trafficHosts).entries()) {
    await look(`host ${i + 1} eth0`, host, 'eth0');
    found.push(`host ${i + 1} eth0 rps: ${await spreadingOf(host, 'eth0', signal)}`);
    const port = side.ports[i] ?? '';
    await look(`port ${i + 1}`, side.underlay, port);
    found.push(`port ${i + 1} rps: ${await spreadingOf(side.underlay, port, signal)}`);
  }
  for (const [i, { place }] of side.endpoints.entries()) await look(`endpoint ${i + 1} eth0`, place, 'eth0');
  return found;
}
