// ICMP, TCP and UDP between two endpoints, with every packet and byte accounted for.
import type { Endpoint } from '@megrez/model';
import { probe, type TestCluster, type Where } from './cluster';
import type { Running } from './command';

export interface Pings {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
  /** Replies that differ from their request. */
  readonly bad: number;
}

export const allOf = (sent: number): Pings => ({ sent, received: sent, duplicates: 0, bad: 0 });

export interface PingOptions {
  /** Without it 10. */
  readonly count?: number;
  readonly interval_ms?: number;
  /** Bytes behind the ICMP header; without it 56. */
  readonly size?: number;
  readonly df?: boolean;
  /** How long to wait for replies after the last request; without it 5,000. */
  readonly patience_ms?: number;
}

const pingCommand = (ip: string, options: PingOptions) => {
  const { count = 10, interval_ms = 10, size = 56, df = false, patience_ms = 5000 } = options;
  return [probe(), 'ping', ip, ...[count, interval_ms, size, Number(df), patience_ms].map(String)];
};

export async function ping(cluster: TestCluster, from: Where, ip: string, options: PingOptions = {}): Promise<Pings> {
  return report<Pings>(await cluster.start(from, pingCommand(ip, options)));
}

/** Pings until `finish`. */
export async function pinging(cluster: TestCluster, from: Where, ip: string, interval_ms: number, patience_ms = 5000) {
  const running = await cluster.start(from, pingCommand(ip, { count: 0, interval_ms, patience_ms }));
  return { finish: () => report<Pings>(running) };
}

/** Does one ping get an answer within a second? */
export async function reaches(cluster: TestCluster, from: Endpoint, ip: string): Promise<boolean> {
  return (await ping(cluster, { endpoint: from }, ip, { count: 1, patience_ms: 1000 })).received === 1;
}

export interface Datagrams {
  readonly sent: number;
  /** Refused by an ICMP error of an earlier one. */
  readonly refused: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Arrived somewhere else than meant. */
  readonly misdelivered: number;
  /** Longest silence at the receiver. */
  readonly gap_ms: number;
}

export interface DatagramFlow {
  finish(): Promise<Datagrams>;
}

export interface DatagramOptions {
  /** Per second; without it 2,000. */
  readonly rate?: number;
  /** Without it the flow lasts until `finish`. */
  readonly count?: number;
  readonly size?: number;
  readonly port?: number;
}

/** What a datagram for this receiver carries: an address and a port name the receiver: what arrives elsewhere is misdelivered. */
export const tokenOf = ({ vni, ip }: Endpoint, port: number) =>
  (ip.split('.').reduce((sum, part) => (sum * 256 + Number(part)) >>> 0, 0) ^ (vni << 8) ^ (port << 16)) >>> 0;

let nextPort = 20_000;
const freshPort = () => {
  nextPort += 1;
  return nextPort;
};

export function datagramSink(cluster: TestCluster, at: Endpoint, port: number): Promise<Running> {
  return ready(cluster.start({ endpoint: at }, [probe(), 'udp-sink', String(port), String(tokenOf(at, port))]));
}

async function ready(starting: Promise<Running>): Promise<Running> {
  const running = await starting;
  await running.said('ready');
  return running;
}

/** The line of JSON that a program of tools/ ends with. */
export async function report<T>(running: Running): Promise<T> {
  const { code, stdout, stderr } = await running.finish();
  const line = stdout.split('\n').find((line) => line.startsWith('{'));
  if (code !== 0 || line === undefined) {
    throw new Error(`probe ended with ${code}: ${stderr}${stdout}`);
  }
  return JSON.parse(line) as T;
}

export async function datagrams(
  cluster: TestCluster,
  from: Endpoint,
  to: Endpoint,
  { rate = 2000, count = 0, size = 64, port = freshPort() }: DatagramOptions = {},
): Promise<DatagramFlow> {
  const sink = await datagramSink(cluster, to, port);
  const numbers = [port, tokenOf(to, port), rate, count, size].map(String);
  const source = await cluster.start({ endpoint: from }, [probe(), 'udp-source', to.ip, ...numbers]);
  return {
    finish: async () => {
      // Told to stop only when it does not know its own end.
      const { sent, refused } = await report<{ sent: number; refused: number }>(source);
      const { unique, ...seen } = await report<{
        unique: number;
        duplicated: number;
        reordered: number;
        misdelivered: number;
        gap_ms: number;
      }>(sink);
      const { duplicated, reordered, misdelivered, gap_ms } = seen;
      return { sent, refused, lost: sent - unique, duplicated, reordered, misdelivered, gap_ms };
    },
  };
}

export interface Stream {
  readonly sent: number;
  readonly received: number;
  /** Bytes that differ from those sent. */
  readonly bad: number;
  readonly broken: boolean;
}

export interface StreamFlow {
  finish(): Promise<Stream>;
}

export interface StreamOptions {
  /** Without it the stream lasts until `finish`. */
  readonly bytes?: number;
  /** Bytes per second; without it as fast as it goes. */
  readonly rate?: number;
  readonly port?: number;
  /** The address of a service whose backend the receiver is. */
  readonly via?: string;
}

/** A TCP stream whose every byte the receiver checks. */
export async function stream(
  cluster: TestCluster,
  from: Endpoint,
  to: Endpoint,
  { bytes = 0, rate = 0, port = freshPort(), via = to.ip }: StreamOptions = {},
): Promise<StreamFlow> {
  const seed = String(tokenOf(to, port));
  const sink = await ready(cluster.start({ endpoint: to }, [probe(), 'tcp-sink', String(port), seed]));
  const numbers = [port, seed, bytes, rate].map(String);
  const source = await cluster.start({ endpoint: from }, [probe(), 'tcp-source', via, ...numbers]);
  return {
    finish: async () => {
      try {
        const { sent } = await report<{ sent: number }>(source);
        const { bytes: received, bad, broken } = await report<{ bytes: number; bad: number; broken: boolean }>(sink);
        return { sent, received, bad, broken };
      } finally {
        sink.kill();
      }
    },
  };
}
