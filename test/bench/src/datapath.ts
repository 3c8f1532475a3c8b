/** Megrez and bridge + VXLAN on the same machine in turns: A B A B, `rounds` times on each underlay and link. */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { startMegrez } from './megrez';
import type { BenchUnderlay, Options } from './options';
import type { Figure } from './report';
import { startRival } from './rival';
import { conditions, type Side, setSpreading, withLink } from './side';
import { flood, ping, type Tools, tcp, udpRoundTrip } from './traffic';

interface Measure {
  readonly section: 'tcp' | 'rtt' | 'udp';
  readonly name: string;
  readonly unit: string;
  readonly target?: Figure['target'];
  readonly take: (side: Side, tools: Tools) => Promise<number>;
}

const measures: readonly Measure[] = [
  {
    ...{ section: 'tcp', name: 'TCP, one stream', unit: 'Gbit/s' },
    target: { is: 'at least', value: 1.2 },
    take: (side, tools) => tcp(side, 1, tools),
  },
  {
    section: 'tcp',
    name: 'TCP, four streams',
    unit: 'Gbit/s',
    take: (side, tools) => tcp(side, 4, { ...tools, duration_ms: tools.duration_ms / 2 }),
  },
  {
    ...{ section: 'rtt', name: 'RTT, ICMP echo (p50)', unit: 'µs' },
    target: { is: 'at most', value: 0.55 },
    take: async (side, tools) => (await ping(side, tools)).p50_us,
  },
  {
    ...{ section: 'rtt', name: 'RTT, UDP between processes (mean)', unit: 'µs' },
    take: async (side, tools) => (await udpRoundTrip(side, tools)).mean_us,
  },
  {
    ...{ section: 'udp', name: 'UDP, 64-byte packets', unit: '/s' },
    target: { is: 'at least', value: 1.6 },
    take: flood,
  },
];

/** A path that is there before anything is measured; a lease or a table entry that runs out belongs to the figure. */
async function warmUp(side: Side, tools: Tools): Promise<void> {
  await ping(side, { ...tools, duration_ms: 100 });
  await tcp(side, 1, { ...tools, duration_ms: 1000 });
}

async function assertSameConditions(sides: readonly Side[], signal: AbortSignal): Promise<void> {
  const [one = [], other = []] = await Promise.all(sides.map((side) => conditions(side, signal)));
  if (isDeepStrictEqual(one, other)) return;
  const differing = one.flatMap((line, i) => (line === other[i] ? [] : [`${line} / ${other[i]}`]));
  throw new Error(`the two sides cannot be compared: ${differing.join('; ')}`);
}

/** Once each: how fast the hosts reach each other without an overlay. */
async function measureBare(sides: readonly Side[], wanted: readonly Measure[], tools: Tools) {
  const side = sides.find(({ bare }) => bare !== undefined);
  const values: { readonly bare?: number }[] = [];
  for (const { take } of wanted) {
    values.push(side?.bare === undefined ? {} : { bare: await take({ ...side, endpoints: side.bare }, tools) });
  }
  return values;
}

export async function measureDatapath(
  dir: string,
  options: Options,
  tools: Tools,
  told: (text: string) => void,
): Promise<readonly Figure[]> {
  const wanted = measures.filter(({ section }) => options.only.has(section));
  if (wanted.length === 0) return [];
  const figures: Figure[] = [];
  for (const kind of options.underlays) {
    figures.push(...(await measureUnderlay(join(dir, kind), kind, wanted, options, tools, told)));
  }
  return figures;
}

async function measureUnderlay(
  dir: string,
  kind: BenchUnderlay,
  wanted: readonly Measure[],
  options: Options,
  tools: Tools,
  told: (text: string) => void,
): Promise<readonly Figure[]> {
  const { signal } = tools;
  const started: Side[] = [];
  try {
    started.push(await startMegrez(dir, kind, signal));
    started.push(await startRival(kind, signal));
    const figures: Figure[] = [];
    for (const link of options.links) {
      const where = `underlay ${kind}, link ${link}`;
      const sides: Side[] = [];
      for (const side of started) sides.push(await withLink(side, link, signal));
      for (const side of sides) await setSpreading(side, 'all CPUs', signal);
      await assertSameConditions(sides, signal);
      for (const side of sides) await warmUp(side, tools);
      const values = wanted.map(() => ({ megrez: [] as number[], vxlan: [] as number[] }));
      for (let round = 1; round <= options.rounds; round += 1) {
        for (const [i, { take }] of wanted.entries()) {
          for (const side of sides) values[i]?.[side.name].push(await take(side, tools));
        }
        told(`${where}: round ${round} of ${options.rounds}`);
      }
      const bare = await measureBare(sides, wanted, tools);
      for (const [i, { name, unit, target }] of wanted.entries()) {
        const { megrez = [], vxlan = [] } = values[i] ?? {};
        figures.push({ name: `${name}; ${where}`, unit, megrez, vxlan, ...bare[i], ...(target ? { target } : {}) });
      }
    }
    return figures;
  } finally {
    for (const side of started) await side.close();
  }
}
