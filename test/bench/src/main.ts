// `npm run bench`. Starts what it measures, prints a table, writes JSON and leaves nothing behind, also after Ctrl-C.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, cpus, release } from 'node:os';
import { dirname, join } from 'node:path';
import { devDown, devUp } from '@megrez/dev';
import { measureBulk } from './bulk';
import { measureCreations } from './creations';
import { measureDatapath } from './datapath';
import { measureInterfaces, measureMap } from './kernel';
import { type Options, parseOptions, UsageError, usage } from './options';
import { run } from './process';
import { measurePrograms } from './programs';
import { type Figure, summarise, table } from './report';

/** Where dist/ and test/ are: this runs from a bundle in dist/. */
const root = join(import.meta.dirname, '..');

async function measure(options: Options, dir: string, signal: AbortSignal): Promise<readonly Figure[]> {
  const started = performance.now();
  const told = (text: string) =>
    process.stderr.write(`  ${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}\n`);
  const udp = join(dir, 'udp');
  await run(['gcc', '-O2', '-Wall', '-Wextra', '-o', udp, join(root, 'test/bench/native/udp.c')], signal);
  const tools = { udp, duration_ms: options.duration_ms, signal };
  const { only } = options;
  const figures: Figure[] = [];
  const ups_s: number[] = [];
  const upTook = (up_ms: number) => void ups_s.push(up_ms / 1000);
  figures.push(...(await measureDatapath(join(dir, 'datapath'), options, tools, told)));
  if (only.has('programs')) {
    figures.push(...(await measurePrograms(join(dir, 'programs'), root, options.lookups, signal)));
  }
  if (only.has('rate') || only.has('memory')) figures.push(...(await measureBulk(dir, options, tools, told)));
  if (only.has('map')) figures.push(await measureMap(options.map_entries));
  if (only.has('interface')) {
    figures.push(...(await measureInterfaces(join(dir, 'interfaces'), root, options.sizes, signal)));
  }
  // Last: the kernel takes long to clear a thousand namespaces away, and holds up whoever makes interfaces meanwhile.
  if (only.has('create')) figures.push(...(await measureCreations(dir, options, tools, told, upTook)));
  if (only.has('up')) figures.push(await measureUp(join(dir, 'up'), ups_s));
  return figures;
}

/** Three starts of a cluster; what was started for other figures counts. */
async function measureUp(dir: string, ups_s: readonly number[]): Promise<Figure> {
  const all_s = [...ups_s];
  while (all_s.length < 3) {
    const from = performance.now();
    await devUp({ dir, hosts: 3 });
    all_s.push((performance.now() - from) / 1000);
    await devDown({ dir });
  }
  return { name: 'megrez dev up --hosts 3', unit: 's', megrez: all_s, target: { is: 'at most', value: 5 } };
}

function record(options: Options, figures: readonly Figure[]): string {
  const date = new Date().toISOString();
  const json = options.json ?? join(root, '.cache/bench', `${date.replaceAll(':', '')}.json`);
  const lines = figures.map(summarise);
  const machine = { kernel: release(), cpus: cpus().length, cpu: cpus()[0]?.model, node: process.version };
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify({ date, machine, arguments: process.argv.slice(2), lines }, undefined, 2)}\n`);
  process.stdout.write(`\n${table(lines)}`);
  return json;
}

/** @returns the exit code: figures that are not reached are told, and no failure */
async function bench(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  const interrupt = new AbortController();
  let code = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      code = 128 + constants.signals[name];
      interrupt.abort();
    });
  }
  const dir = mkdtempSync('/run/megrez-bench-');
  try {
    const figures = await measure(options, dir, interrupt.signal);
    process.stderr.write(`  ${record(options, figures)}\n`);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    process.stderr.write('interrupted; nothing is left\n');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return code;
}

try {
  process.exitCode = await bench();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`bench: ${error.message}\n${usage}\n`);
  process.exitCode = 2;
}
