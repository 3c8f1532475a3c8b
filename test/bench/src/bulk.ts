/** Many endpoints without interfaces: how many a second, and what an agent that holds all their mappings weighs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentPid, type Control, create, none, parallel, requestFor, startControl } from './control';
import { scrape } from './metrics';
import type { Options } from './options';
import type { Figure } from './report';
import type { Tools } from './traffic';

const callers = 64;
const bursts = 3;
const batch = 1000;

const resident_mib = (pid: number) =>
  Number(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Rss:\s+(\d+) kB/m)?.[1]) / 1024;

async function measureRate(control: Control, burst: number, signal: AbortSignal): Promise<Figure> {
  const rates: number[] = [];
  for (let round = 0; round < bursts; round += 1) {
    const from = performance.now();
    await parallel(burst, callers, signal, (i) => create(control, `burst-${round}-${i}`, 'h1', none));
    rates.push(burst / ((performance.now() - from) / 1000));
  }
  const target = { is: 'at least', value: 1000 } as const;
  return { name: `creations without interface, ${callers} callers`, unit: '/s', megrez: rates, target };
}

async function mappingsOf(control: Control, host: number): Promise<number> {
  const samples = await scrape(control.agents[host] ?? '');
  return samples.find(({ name, labels }) => name === 'megrez_map_entries' && labels.map === 'mappings')?.value ?? 0;
}

async function measureMemory(control: Control, mappings: number, signal: AbortSignal): Promise<readonly Figure[]> {
  const bouncer = agentPid(control.dir, 'h2');
  const empty_mib = resident_mib(bouncer);
  const missing = mappings - (await mappingsOf(control, 1));
  const from = performance.now();
  await parallel(Math.ceil(missing / batch), 2, signal, async (i) => {
    const size = Math.min(batch, missing - i * batch);
    const requests = Array.from({ length: size }, (_, j) => requestFor(`bulk-${i}-${j}`, 'h1', none));
    const { results } = await control.client.provisioning.batchCreateEndpoints({ requests }).response;
    const failed = results.find(({ result }) => result.oneofKind === 'error')?.result;
    if (failed?.oneofKind === 'error') throw new Error(`a creation of the batch failed: ${failed.error.message}`);
  });
  const took_s = (performance.now() - from) / 1000;
  const held = await mappingsOf(control, 1);
  if (held < mappings) throw new Error(`the bouncer holds ${held} mappings; ${mappings} were to be there`);
  const of = mappings.toLocaleString('en');
  return [
    { name: 'creations by BatchCreateEndpoints, 2 callers', unit: '/s', megrez: [missing / took_s] },
    { name: "a bouncer's agent, resident, before", unit: 'MiB', megrez: [empty_mib] },
    {
      name: `a bouncer's agent, resident, ${of} mappings`,
      unit: 'MiB',
      megrez: [resident_mib(bouncer)],
      target: { is: 'at most', value: 96 },
    },
    {
      name: `the agent of ${of} endpoints, resident`,
      unit: 'MiB',
      megrez: [resident_mib(agentPid(control.dir, 'h1'))],
    },
  ];
}

export async function measureBulk(
  dir: string,
  { only, burst, mappings }: Options,
  { signal }: Tools,
  told: (text: string) => void,
  upTook: (up_ms: number) => void,
): Promise<readonly Figure[]> {
  const control = await startControl(join(dir, 'bulk'));
  try {
    upTook(control.up_ms);
    const figures: Figure[] = [];
    if (only.has('rate')) {
      figures.push(await measureRate(control, burst, signal));
      told(`${bursts} times ${burst} creations with ${callers} callers`);
    }
    if (only.has('memory')) {
      figures.push(...(await measureMemory(control, mappings, signal)));
      told(`${mappings} mappings`);
    }
    return figures;
  } finally {
    await control.close();
  }
}
