// Numbered datagrams between many endpoints at once, each of them accounted for (tools/flow.c).
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Endpoint } from '@megrez/model';
import { flowTool, type TestCluster, type Where } from './cluster';
import { must, type Running } from './command';
import { report } from './traffic';

export interface FlowOptions {
  /** Datagrams per second; without it 1,000. */
  readonly rate?: number;
  /** Without it the flow lasts until `finish`. */
  readonly count?: number;
  /** Bytes of payload; without it 64. */
  readonly size?: number;
  /** The receiver sends every datagram back. */
  readonly echo?: boolean;
}

/** A process that sends and receives for an endpoint. */
export interface Talker {
  readonly endpoint: Endpoint;
  to(endpoint: Endpoint, options?: FlowOptions): void;
  /** Datagrams to an address that nobody has: each that arrives anywhere is misdelivered. */
  stray(ip: string, options?: FlowOptions): void;
  /** Each datagram goes to one of these, chosen at random by the seed. */
  toAny(endpoints: readonly Endpoint[], options?: FlowOptions): void;
  /** Resolves when it sends nothing any more but echoes. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

export interface Gap {
  /** `vpc/subnet/name` of sender and receiver. */
  readonly from: string;
  readonly to: string;
  /** Numbers of the datagrams lost. */
  readonly first: number;
  readonly count: number;
  /** CLOCK_MONOTONIC, in milliseconds, at which the first and the last of them were sent. */
  readonly begin_ms: number;
  readonly end_ms: number;
  /** Lost on the way back. */
  readonly echo: boolean;
}

export interface Account {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Received by another endpoint than the one meant, whichever VPC it is in. */
  readonly misdelivered: number;
  /** Received, and not of this account. */
  readonly strange: number;
  /** Received, though nobody sent it. */
  readonly unsent: number;
  readonly echoes: { readonly sent: number; readonly lost: number; readonly duplicated: number };
  /** Longest time without a datagram in any flow. */
  readonly silence_ms: number;
  readonly gaps: readonly Gap[];
  readonly gaps_left_off: number;
}

export interface Flows {
  /** Starts a talker; resolves when it receives. `where` is the endpoint's own namespace unless it says another. */
  talker(endpoint: Endpoint, more?: { readonly where?: Where; readonly instance?: number }): Promise<Talker>;
  /** Resolves when every flow that has a count has sent it. */
  over(): Promise<void>;
  /** Ends all sending, waits until the last datagram is through, and compares what all saw. */
  finish(): Promise<Account>;
}

/** What is asked of an account when nothing may go wrong. */
export const whole = { lost: 0, duplicated: 0, misdelivered: 0, strange: 0, unsent: 0, gaps: [] } as const;
export const wholeEchoes = { lost: 0, duplicated: 0 } as const;

/** CLOCK_MONOTONIC in milliseconds, as in gaps. */
export const clock_ms = (): number => Number(process.hrtime.bigint()) / 1e6;

let runs = 0;

interface Merged extends Omit<Account, 'gaps'> {
  readonly gaps: readonly (Omit<Gap, 'from' | 'to'> & {
    readonly from: number;
    readonly instance: number;
    readonly to: number;
  })[];
}

const times = (running: Running, line: string) => running.output().split(`${line}\n`).length - 1;

/** Resolves when the program has printed the line that often. */
async function heard(running: Running, line: string, count: number): Promise<void> {
  while (times(running, line) < count) {
    await running.heard();
  }
}

/** @param seed of what `toAny` chooses */
export function flows(cluster: TestCluster, seed = 1): Flows {
  runs += 1;
  const number = runs;
  const port = 30_000 + number;
  const directory = join(dirname(cluster.dir), `flows-${number}`);
  mkdirSync(directory, { recursive: true });
  const ids = new Map<string, number>();
  const names: string[] = [];
  const nameOf = ({ vpc, subnet, name }: Endpoint) => `${vpc}/${subnet}/${name}`;
  const idOf = (endpoint: Endpoint) => {
    const name = nameOf(endpoint);
    const id = ids.get(name) ?? ids.size + 1;
    ids.set(name, id);
    names[id] = name;
    return id;
  };
  const files: string[] = [];
  const talkers: { readonly running: Running; counted: number }[] = [];

  return {
    talker: async (endpoint, { where = { endpoint }, instance = 0 } = {}) => {
      const id = idOf(endpoint);
      const file = join(directory, `${id}-${instance}`);
      const numbers = [number, id, instance, port, seed * 1000 + id * 16 + instance].map(String);
      const running = await cluster.start(where, [flowTool(), 'talk', file, ...numbers]);
      await running.said('ready');
      files.push(file);
      const talker = { running, counted: 0 };
      talkers.push(talker);
      const tell = async (word: string, answer: string) => {
        const before = times(running, answer);
        running.write(`${word}\n`);
        await heard(running, answer, before + 1);
      };
      const order = (count: number, ...words: readonly (string | number)[]) => {
        talker.counted += Number(count > 0);
        running.write(`${words.join(' ')}\n`);
      };
      return {
        endpoint,
        to: (other, { rate = 1000, count = 0, size = 64, echo = false } = {}) =>
          order(count, 'to', other.ip, idOf(other), rate, size, count, echo ? 'echo' : 'one-way'),
        stray: (ip, { rate = 1000, count = 0, size = 64 } = {}) => order(count, 'stray', ip, rate, size, count),
        toAny: (others, { rate = 1000, count = 0, size = 64, echo = false } = {}) => {
          for (const other of others) {
            order(0, 'to', other.ip, idOf(other), 0, size, 0, echo ? 'echo' : 'one-way');
          }
          order(count, 'any', rate, size, count);
        },
        pause: () => tell('pause', 'paused'),
        resume: () => tell('resume', 'resumed'),
      };
    },
    over: async () => {
      await Promise.all(talkers.map(({ running, counted }) => heard(running, 'over', counted)));
    },
    finish: async () => {
      await Promise.all(
        talkers.map(async ({ running }) => {
          running.write('stop\n');
          await running.said('stopped');
        }),
      );
      const ends = await Promise.all(talkers.map(({ running }) => report<{ overflowed: number }>(running)));
      const overflowed = ends.reduce((sum, end) => sum + end.overflowed, 0);
      if (overflowed > 0) {
        throw new Error(`${overflowed} datagrams found no room in a receiver's socket: the account is worth nothing`);
      }
      const merged = JSON.parse(await must([flowTool(), 'merge', ...files])) as Merged;
      rmSync(directory, { recursive: true });
      const gaps = merged.gaps.map(({ from, instance, to, ...gap }) => ({
        ...gap,
        from: `${names[from]}${instance > 0 ? `#${instance}` : ''}`,
        to: names[to] ?? String(to),
      }));
      return { ...merged, gaps };
    },
  };
}
