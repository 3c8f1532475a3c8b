/**
 * One measurement each, from the first endpoint to the second. Sender and receiver are pinned to different CPUs where
 * there are two, so that the scheduler's choice is no part of the figure; RPS spreads the kernel's share over all.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, run, start } from './process';
import { type Side, setSpreading } from './side';

export interface Tools {
  /** The compiled native/udp.c. */
  readonly udp: string;
  readonly duration_ms: number;
  readonly signal: AbortSignal;
}

/** Source ports: enough that RPS gives every CPU its share, whatever the hash of the day. */
const flows = 16;

const sender = () => ['taskset', '-c', '0'];
const receiver = () => ['taskset', '-c', String(availableParallelism() > 1 ? 1 : 0)];

const from = ({ endpoints: [a] }: Side, command: Command): Command => [...a.place, ...sender(), ...command];
const to = ({ endpoints: [, b] }: Side, command: Command): Command => [...b.place, ...receiver(), ...command];

/** Waits until something has the port in the second endpoint's namespace. */
async function bound(side: Side, protocol: 'tcp' | 'udp', port: number, signal: AbortSignal): Promise<void> {
  const files = [`/proc/net/${protocol}`, `/proc/net/${protocol}6`];
  const pattern = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 `);
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (pattern.test(await run([...side.endpoints[1].place, 'cat', ...files], signal))) return;
    await sleep(5);
  }
  throw new Error(`nothing took ${protocol} port ${port} in time`);
}

interface Report {
  readonly end: { readonly sum_received: { readonly bits_per_second: number } };
}

/** @returns Gbit/s received, of `streams` TCP streams */
export async function tcp(side: Side, streams: number, { duration_ms, signal }: Tools): Promise<number> {
  const server = start(to(side, ['iperf3', '-s', '-1']), signal);
  try {
    await bound(side, 'tcp', 5201, signal);
    const seconds = String(Math.round(duration_ms / 1000));
    const target = side.endpoints[1].address;
    const text = await run(from(side, ['iperf3', '-J', '-c', target, '-t', seconds, '-P', `${streams}`]), signal);
    return (JSON.parse(text) as Report).end.sum_received.bits_per_second / 1e9;
  } finally {
    await server.stop();
  }
}

export interface RoundTrip {
  readonly p50_us: number;
  readonly p99_us: number;
  readonly mean_us: number;
}

/** Round trips between two processes that sleep meanwhile: one 64-byte datagram at a time, from ports in turn. */
export async function udpRoundTrip(side: Side, { udp, duration_ms, signal }: Tools): Promise<RoundTrip> {
  const server = start(to(side, [udp, 'echo', '7001']), signal);
  try {
    await bound(side, 'udp', 7001, signal);
    const target = side.endpoints[1].address;
    const text = await run(from(side, [udp, 'rtt', target, '7001', String(duration_ms / 2), String(flows)]), signal);
    return JSON.parse(text) as RoundTrip;
  } finally {
    await server.stop();
  }
}

/** Round trips that the far kernel answers, on one CPU: nobody is woken and none is interrupted on the way. */
export async function ping(side: Side, { udp, duration_ms, signal }: Tools): Promise<RoundTrip> {
  await setSpreading(side, 'first CPU', signal);
  const command = [udp, 'ping', side.endpoints[1].address, String(duration_ms / 2)];
  const text = await run(from(side, command), signal);
  await setSpreading(side, 'all CPUs', signal);
  return JSON.parse(text) as RoundTrip;
}

/** @returns 64-byte datagrams received per second by one process while another sends as fast as it can */
export async function flood(side: Side, { udp, duration_ms, signal }: Tools): Promise<number> {
  const sink = start(to(side, [udp, 'sink', '7002', String(duration_ms * 0.6)]), signal);
  try {
    await bound(side, 'udp', 7002, signal);
    const command = [udp, 'flood', side.endpoints[1].address, '7002', String(duration_ms * 0.8), String(flows)];
    await run(from(side, command), signal);
    return (JSON.parse(await sink.done) as { readonly per_second: number }).per_second;
  } finally {
    await sink.stop();
  }
}
