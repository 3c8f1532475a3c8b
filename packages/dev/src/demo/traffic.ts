// Real programs in real namespaces: ping and iperf3.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { execCommand } from '../exec';
import { clusterEnvironment } from '../processes';
import { mustReadCluster } from '../state';

export interface Output {
  readonly code: number;
  readonly text: string;
}

/** Runs a command in an endpoint's namespace; stdout and stderr together. */
export async function inEndpoint(dir: string, endpoint: string, command: readonly string[], signal: AbortSignal) {
  return collect(dir, await execCommand(endpoint, command, { dir }), signal);
}

/** Runs a command line as a process of the cluster. */
export function collect(dir: string, [program = '', ...args]: readonly string[], signal: AbortSignal): Promise<Output> {
  const env = clusterEnvironment(mustReadCluster(dir).cluster);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env, signal, killSignal: 'SIGKILL' });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, text: Buffer.concat(chunks).toString() }));
  });
}

export interface Ping {
  readonly sent: number;
  readonly received: number;
  /** Of the fastest reply. */
  readonly best_ms: number;
}

/** Ten pings, 10 ms apart. */
export const ping = (dir: string, from: string, to: string, signal: AbortSignal): Promise<Ping> =>
  pings(dir, from, to, 10, signal);

/** Pings 10 ms apart, from a moment before `work` until well behind it. */
export async function pingWhile(
  dir: string,
  from: string,
  to: string,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<Ping> {
  const stop = new AbortController();
  const pinging = pings(dir, from, to, 150, AbortSignal.any([signal, stop.signal]));
  pinging.catch(() => {});
  try {
    await sleep(300, undefined, { signal });
    await work();
    return await pinging;
  } finally {
    stop.abort();
  }
}

async function pings(dir: string, from: string, to: string, count: number, signal: AbortSignal): Promise<Ping> {
  const command = ['ping', '-n', '-q', '-c', `${count}`, '-i', '0.01', '-W', '2', to];
  const { text } = await inEndpoint(dir, from, command, signal);
  const [, sent, received] = text.match(/(\d+) packets transmitted, (\d+) received/) ?? [];
  const [, best] = text.match(/min\/avg\/max\/mdev = ([\d.]+)/) ?? [];
  if (sent === undefined || received === undefined) {
    throw new Error(`ping from ${from} to ${to}: ${text}`);
  }
  return { sent: Number(sent), received: Number(received), best_ms: Number(best) };
}

export interface Transfer {
  readonly bits_per_s: number;
  /** Datagrams, with UDP only. */
  readonly packets: number;
  readonly lost: number;
}

interface Report {
  readonly error?: string;
  readonly end?: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum?: { readonly bits_per_second: number; readonly packets?: number; readonly lost_packets?: number };
  };
}

/**
 * One second of TCP, or 500 datagrams: so few that they fit in the receiver's socket even when a busy machine lets it wait
 * for half a second. Goes from an endpoint to the address of another.
 */
export async function transfer(
  dir: string,
  protocol: 'tcp' | 'udp',
  from: string,
  { endpoint, ip }: { readonly endpoint: string; readonly ip: string },
  signal: AbortSignal,
): Promise<Transfer> {
  const stop = new AbortController();
  const server = inEndpoint(dir, endpoint, ['iperf3', '-s', '-1'], AbortSignal.any([signal, stop.signal]));
  server.catch(() => {});
  try {
    await listening(dir, endpoint, signal);
    const mode = protocol === 'udp' ? ['-u', '-b', '1M', '-l', '250'] : [];
    const client = await inEndpoint(dir, from, ['iperf3', '-J', '-c', ip, '-t', '1', ...mode], signal);
    const { error, end } = JSON.parse(client.text) as Report;
    const sum = protocol === 'udp' ? end?.sum : end?.sum_received;
    if (error !== undefined || !sum) {
      throw new Error(`iperf3 from ${from} to ${ip}: ${error ?? client.text}`);
    }
    return { bits_per_s: sum.bits_per_second, packets: end?.sum?.packets ?? 0, lost: end?.sum?.lost_packets ?? 0 };
  } finally {
    stop.abort();
  }
}

/** Waits until something listens on iperf3's port in the endpoint's namespace. */
async function listening(dir: string, endpoint: string, signal: AbortSignal): Promise<void> {
  const sockets = await execCommand(endpoint, ['cat', '/proc/net/tcp', '/proc/net/tcp6'], { dir });
  const port = (5201).toString(16).toUpperCase();
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; await sleep(20)) {
    // State 0A is LISTEN.
    const { text } = await collect(dir, sockets, signal);
    if (new RegExp(`:${port} [0-9A-F]+:0000 0A `).test(text)) {
      return;
    }
  }
  throw new Error(`iperf3 does not listen in ${endpoint}`);
}
