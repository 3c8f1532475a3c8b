/** Many endpoints without interfaces: how many a second, and what an agent that holds all their mappings weighs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMetrics } from '@megrez/dev';
import { agentPid, type Control, create, none, parallel, requestFor, startControl } from './control';
import type { Options } from './options';
import type { Figure } from './report';
import type { Tools } from './traffic';

const callers = 64;
const bursts = 2;
const batch = 1000;
/** Of the endpoints; no host takes more than 32,768. */
const holders = ['h1', 'h4', 'h5', 'h6'];

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
  const samples = await readMetrics(control.agents[host] ?? '');
  return samples.find(({ name, labels }) => name === 'megrez_map_entries' && labels.map === 'mappings')?.value ?? 0;
}

async function measureMemory(control: Control, mappings: number, signal: AbortSignal): Promise<readonly Figure[]> {
  const bouncer = agentPid(control.dir, 'h2');
  const empty_mib = resident_mib(bouncer);
  const from = performance.now();
  await parallel(Math.ceil(mappings / batch), 2, signal, async (i) => {
    const size = Math.min(batch, mappings - i * batch);
    const requests = Array.from({ length: size }, (_, j) =>
      requestFor(`bulk-${i}-${j}`, holders[i % holders.length] ?? '', none),
    );
    const { results } = await control.client.provisioning.batchCreateEndpoints({ requests }).response;
    const failed = results.find(({ result }) => result.oneofKind === 'error')?.result;
    if (failed?.oneofKind === 'error') throw new Error(`a creation of the batch failed: ${failed.error.message}`);
  });
  const took_s = (performance.now() - from) / 1000;
  const held = await mappingsOf(control, 1);
  if (held < mappings) throw new Error(`the bouncer holds ${held} mappings; ${mappings} were to be there`);
  const of = mappings.toLocaleString('en');
  return [
    { name: 'creations by BatchCreateEndpoints, 2 callers', unit: '/s', megrez: [mappings / took_s] },
    { name: "a bouncer's agent, resident, before", unit: 'MiB', megrez: [empty_mib] },
    {
      name: `a bouncer's agent, resident, ${of} mappings`,
      unit: 'MiB',
      megrez: [resident_mib(bouncer)],
      target: { is: 'at most', value: 96 },
    },
    {
      name: `the agent of ${(mappings / holders.length).toLocaleString('en')} endpoints, resident`,
      unit: 'MiB',
      megrez: [resident_mib(agentPid(control.dir, 'h1'))],
    },
  ];
}

async function withControl<T>(dir: string, hosts: number, work: (control: Control) => Promise<T>): Promise<T> {
  const control = await startControl(dir, hosts);
  try {
    return await work(control);
  } finally {
    await control.close();
  }
}

export async function measureBulk(
  dir: string,
  { only, burst, mappings }: Options,
  { signal }: Tools,
  told: (text: string) => void,
): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  if (only.has('rate')) {
    figures.push(await withControl(join(dir, 'rate'), 3, (control) => measureRate(control, burst, signal)));
    told(`${bursts} times ${burst} creations with ${callers} callers`);
  }
  if (only.has('memory')) {
    const measure = (control: Control) => measureMemory(control, mappings, signal);
    figures.push(...(await withControl(join(dir, 'memory'), 2 + holders.length, measure)));
    told(`${mappings} mappings`);
  }
  return figures;
}
