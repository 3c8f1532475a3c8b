/** Two figures of the kernel package by itself: rows into a map by batch, and endpoint interfaces. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BpfObject,
  createEndpointInterface,
  createMap,
  createNetns,
  deleteLink,
  deleteNetns,
  loadObject,
  mountBpffs,
  unmount,
} from '@megrez/kernel';
import type { Figure } from './report';
import { quantile } from './statistics';

const no_prealloc = 1;
const rounds = 3;
const measured = 200;
const warmUp = 5;

export async function measureMap(entries: number): Promise<Figure> {
  const keys = Buffer.alloc(entries * 20);
  const values = Buffer.alloc(entries * 40, 1);
  for (let i = 0; i < entries; i += 1) keys.writeUInt32LE(i, i * 20 + 16);
  const rates: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const sizes = { keySize: 20, valueSize: 40, maxEntries: entries };
    const map = createMap({ type: 'hash', name: 'bench', flags: no_prealloc, ...sizes });
    try {
      const from = performance.now();
      await map.updateBatch(keys, values);
      rates.push(entries / ((performance.now() - from) / 1000));
      const { count } = await map.entries();
      if (count !== entries) throw new Error(`${count} of ${entries} entries are in the map`);
    } finally {
      map.close();
    }
  }
  return { name: 'mappings into a map', unit: '/s', megrez: rates, target: { is: 'at least', value: 500_000 } };
}

/** Milliseconds of each: veth, one end in the endpoint's namespace, address, route, MTU, program attached, pinned, up. */
async function timeInterfaces(dir: string, object: BpfObject, present: number, signal: AbortSignal) {
  const took_ms: number[] = [];
  for (let i = 0; i < warmUp + measured; i += 1) {
    signal.throwIfAborted();
    const name = `mb${process.pid}-${i}`.slice(0, 15);
    const from = performance.now();
    await createEndpointInterface({
      name,
      netns: join(dir, `ns-${i % present}`),
      peerName: `m${i}`,
      mtu: 1386,
      gsoMaxSize: 65_000,
      addresses: [{ address: '10.0.1.5/24' }],
      routes: [{ dst: 'default', via: '10.0.1.1' }],
      attach: { program: object.program('inward'), pin: join(dir, 'bpf', name) },
    });
    if (i >= warmUp) took_ms.push(performance.now() - from);
    await deleteLink({ name });
    rmSync(join(dir, 'bpf', name));
  }
  return took_ms;
}

export async function measureInterfaces(
  dir: string,
  root: string,
  sizes: readonly number[],
  signal: AbortSignal,
): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  let made = 0;
  let object: BpfObject | undefined;
  mkdirSync(join(dir, 'bpf'), { recursive: true });
  await mountBpffs(join(dir, 'bpf'));
  try {
    const machine = execFileSync('gcc', ['-dumpmachine'], { encoding: 'utf8' }).trim();
    const source = join(root, 'packages/kernel/src/testing/sample.bpf.c');
    const flags = ['-O2', '-g', '-target', 'bpf', `-I/usr/include/${machine}`];
    execFileSync('clang', [...flags, '-c', source, '-o', join(dir, 'sample.o')]);
    object = await loadObject(join(dir, 'sample.o'));
    for (const present of sizes) {
      while (made < present) await createNetns(join(dir, `ns-${made++}`));
      const took_ms = await timeInterfaces(dir, object, present, signal);
      const name = `endpoint interface, ${present.toLocaleString('en')} namespaces`;
      figures.push({ name: `${name}, p50`, unit: 'ms', megrez: took_ms, target: { is: 'at most', value: 3 } });
      figures.push({ name: `${name}, p99`, unit: 'ms', megrez: [quantile(took_ms, 0.99)] });
    }
    return figures;
  } finally {
    object?.close();
    for (let i = 0; i < made; i += 1) {
      if (existsSync(join(dir, `ns-${i}`))) await deleteNetns(join(dir, `ns-${i}`));
    }
    await unmount(join(dir, 'bpf'));
  }
}
