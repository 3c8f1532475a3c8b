/** Time of `CreateEndpoint`, interface included, with 10, 100 and 1,000 endpoints present: a cluster of each, in turns. */
import { join } from 'node:path';
import { execCommand } from '@megrez/dev';
import { type Control, create, managed, parallel, remove, startControl, subnet, vpc } from './control';
import { type Counts, countCreations } from './counts';
import type { Options } from './options';
import { line, type Running, start } from './process';
import type { Figure } from './report';
import { quantile } from './statistics';
import type { Tools } from './traffic';

interface Stage {
  readonly control: Control;
  readonly size: number;
  /** Runs in an endpoint of h2: told an address, it answers when that was reached. */
  readonly probe: Running;
  readonly returned_ms: number[];
  readonly reached_ms: number[];
}

const warmUp = 20;
const counted = 20;

async function fill(control: Control, size: number, { udp, signal }: Tools): Promise<Stage> {
  await create(control, 'probe', 'h2', managed);
  await parallel(size - 1, 16, signal, (i) => create(control, `present-${i}`, 'h1', managed));
  const probe = start(await execCommand(`${vpc}/${subnet}/probe`, [udp, 'reach'], { dir: control.dir }), signal);
  return { control, size, probe, returned_ms: [], reached_ms: [] };
}

async function measureOne({ control, probe, returned_ms, reached_ms }: Stage, i: number): Promise<void> {
  const name = `measured-${i}`;
  const from = performance.now();
  const { ip } = await create(control, name, 'h1', managed);
  const returned = performance.now();
  const answer = line(probe);
  probe.child.stdin?.write(`${ip}\n`);
  const took_us = Number(await answer);
  const reached = performance.now();
  if (!(took_us >= 0)) throw new Error(`${name} (${ip}) was created and does not answer`);
  if (i >= warmUp) {
    returned_ms.push(returned - from);
    reached_ms.push(reached - from);
  }
  await remove(control, name);
}

function figuresOf({ size, returned_ms, reached_ms }: Stage): readonly Figure[] {
  const at = `at ${size.toLocaleString('en')} endpoints`;
  const p99 = (values: readonly number[]) => [quantile(values, 0.99)];
  return [
    { name: `CreateEndpoint p50, ${at}`, unit: 'ms', megrez: returned_ms, target: { is: 'at most', value: 8 } },
    { name: `CreateEndpoint p99, ${at}`, unit: 'ms', megrez: p99(returned_ms), target: { is: 'at most', value: 25 } },
    { name: `to first reply p50, ${at}`, unit: 'ms', megrez: reached_ms },
    { name: `to first reply p99, ${at}`, unit: 'ms', megrez: p99(reached_ms) },
  ];
}

/** Means, without targets: where the time of a creation goes. */
function partsOf({ size }: Stage, { creation_ms, wait_ms, host_ms, owner_ms }: Counts): readonly Figure[] {
  const at = `at ${size.toLocaleString('en')}`;
  return [
    { name: `  in the controller until the txn is answered, ${at}`, unit: 'ms', megrez: [creation_ms - wait_ms] },
    { name: `  in the controller, waiting for agents, ${at}`, unit: 'ms', megrez: [wait_ms] },
    { name: `  in the host's agent, interface included, ${at}`, unit: 'ms', megrez: [host_ms] },
    { name: `  in a bouncer's agent, ${at}`, unit: 'ms', megrez: [owner_ms] },
  ];
}

const countNames = {
  etcd: 'etcd operations per creation',
  messages: 'session messages per creation',
  writes: 'map writes per creation',
} as const;

/** One more than the hosts of a slot. */
const most_messages = 3;

function growthFigures(stages: readonly Stage[], counts: readonly Counts[]): readonly Figure[] {
  const figures: Figure[] = [];
  for (const name of ['etcd', 'messages', 'writes'] as const) {
    for (const [i, { size }] of stages.entries()) {
      // Equal to the count at the smallest size, or it grows.
      const value = name === 'messages' ? most_messages : (counts[0]?.[name] ?? 0);
      const figure = { name: `${countNames[name]}, at ${size.toLocaleString('en')}`, unit: '' };
      figures.push({
        ...figure,
        megrez: [counts[i]?.[name] ?? Number.NaN],
        ...(i > 0 || name === 'messages' ? { target: { is: 'at most', value } as const } : {}),
      });
    }
  }
  const [first, last] = [stages[0], stages.at(-1)];
  if (first !== undefined && last !== undefined && first !== last) {
    const growth = quantile(last.returned_ms, 0.5) / quantile(first.returned_ms, 0.5);
    const name = `CreateEndpoint p50, at ${last.size.toLocaleString('en')} against ${first.size}`;
    figures.push({ name, unit: '×', megrez: [growth], target: { is: 'at most', value: 1.25 } });
  }
  return figures;
}

export async function measureCreations(
  dir: string,
  { sizes, creations }: Options,
  tools: Tools,
  told: (text: string) => void,
  upTook: (up_ms: number) => void,
): Promise<readonly Figure[]> {
  const controls: Control[] = [];
  const stages: Stage[] = [];
  try {
    for (const size of sizes) {
      const control = await startControl(join(dir, `c${size}`));
      controls.push(control);
      upTook(control.up_ms);
      stages.push(await fill(control, size, tools));
      told(`a cluster with ${size} endpoints`);
    }
    for (let i = 0; i < warmUp + creations; i += 1) {
      tools.signal.throwIfAborted();
      for (const stage of stages) await measureOne(stage, i);
    }
    told(`${creations} creations at each size`);
    const counts: Counts[] = [];
    for (const { control } of stages) counts.push(await countCreations(control, counted));
    const parts = stages.flatMap((stage, i) => (counts[i] === undefined ? [] : partsOf(stage, counts[i])));
    return [...stages.flatMap(figuresOf), ...growthFigures(stages, counts), ...parts];
  } finally {
    for (const { probe } of stages) await probe.stop();
    for (const control of controls) await control.close();
  }
}
