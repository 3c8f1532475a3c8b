import { parseArgs } from 'node:util';
import type { Underlay } from '@megrez/dev';

/** What can be measured, in the order in which it is. */
export const sections = [
  'tcp',
  'rtt',
  'udp',
  'programs',
  'rate',
  'memory',
  'map',
  'interface',
  'create',
  'up',
] as const;
export type Section = (typeof sections)[number];

export const underlays = ['direct', 'bridge'] as const satisfies readonly Underlay[];
/** As `megrez dev up` has them: a switch that costs next to nothing, or the kernel's bridge. */
export type BenchUnderlay = (typeof underlays)[number];

export const links = ['veth', 'wire'] as const;
/** `veth` as it is; `wire` with segmentation done before it and aggregation behind it, which is nearer to a real one. */
export type Link = (typeof links)[number];

export interface Options {
  readonly only: ReadonlySet<Section>;
  readonly underlays: readonly BenchUnderlay[];
  readonly links: readonly Link[];
  readonly rounds: number;
  /** Of one measurement of traffic. */
  readonly duration_ms: number;
  /** Endpoints that are there when creations are timed. */
  readonly sizes: readonly number[];
  /** Creations timed at each size. */
  readonly creations: number;
  /** Creations with 64 callers. */
  readonly burst: number;
  /** Mappings in the agent whose memory is measured. */
  readonly mappings: number;
  /** Mappings written into a map of their own. */
  readonly map_entries: number;
  /** Mappings among which the lookup program finds its own. */
  readonly lookups: number;
  readonly json: string | undefined;
}

export const usage = `usage: npm run bench -- [--quick] [--only ${sections.join(',')}] [--underlay ${underlays.join(',')}] [--link ${links.join(',')}] [--rounds N] [--json FILE]`;

/** A refusal that is printed without a stack. */
export class UsageError extends Error {}

export function parseOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  const { quick = false, json } = values;
  return {
    only: new Set(among('--only', sections, values.only)),
    underlays: among('--underlay', underlays, values.underlay ?? 'direct'),
    links: among('--link', links, values.link),
    rounds: count('--rounds', values.rounds ?? (quick ? '1' : '5')),
    duration_ms: quick ? 1000 : 2000,
    sizes: quick ? [10, 100] : [10, 100, 1000],
    creations: quick ? 50 : 200,
    burst: quick ? 1000 : 4000,
    mappings: quick ? 10_000 : 100_000,
    lookups: quick ? 100_000 : 1_000_000,
    map_entries: quick ? 100_000 : 1_000_000,
    json,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string' },
        underlay: { type: 'string' },
        link: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function among<T extends string>(option: string, known: readonly T[], given: string | undefined): readonly T[] {
  const wanted = given?.split(',') ?? known;
  const unknown = wanted.find((name) => !known.some((one) => one === name));
  if (unknown !== undefined) {
    throw new UsageError(`${option}: there is no ${unknown}; there are ${known.join(', ')}`);
  }
  return known.filter((name) => wanted.includes(name));
}

function count(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100) {
    throw new UsageError(`${option}: must be a whole number from 1 to 100; got ${text}`);
  }
  return value;
}
