/**
 * Two figures of the kernel package: a million mappings into a hash map by batch, and an endpoint interface (veth
 * with one end in the endpoint's namespace, addresses, routes, MTU, program attached and pinned, up) with 10 and with
 * 1,000 namespaces present. Needs root.
 *
 *   esbuild test/bench/kernel.ts --bundle --platform=node --format=esm --outfile=dist/bench-kernel.mjs
 *   sudo node dist/bench-kernel.mjs [namespaces]
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

const ENTRIES = 1_000_000;
const NO_PREALLOC = 1;
const MEASURED = 100;
const WARM_UP = 5;

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;

const fillMap = async (): Promise<void> => {
  const map = createMap({
    type: 'hash',
    name: 'bench',
    keySize: 20,
    valueSize: 40,
    maxEntries: ENTRIES,
    flags: NO_PREALLOC,
  });
  const keys = Buffer.alloc(ENTRIES * map.keySize);
  const values = Buffer.alloc(ENTRIES * map.valueSize, 1);
  for (let i = 0; i < ENTRIES; i++) keys.writeUInt32LE(i, i * map.keySize + 16);
  const from_ms = performance.now();
  await map.updateBatch(keys, values);
  const written_ms = performance.now();
  const { count } = await map.entries();
  const read_ms = performance.now();
  map.close();
  if (count !== ENTRIES) throw new Error(`${count} entries are in the map`);
  console.log(
    `${ENTRIES} mappings: written in ${(written_ms - from_ms).toFixed(0)} ms, read in ${(read_ms - written_ms).toFixed(0)} ms`,
  );
};

const measureInterfaces = async (directory: string, object: BpfObject, present: number): Promise<void> => {
  const durations_ms: number[] = [];
  for (let i = 0; i < WARM_UP + MEASURED; i++) {
    const name = `mb${process.pid}-${i}`.slice(0, 15);
    const from_ms = performance.now();
    await createEndpointInterface({
      name,
      netns: join(directory, `ns-${i % present}`),
      peerName: `m${i}`,
      mtu: 1404,
      gsoMaxSize: 65_000,
      addresses: [{ address: '10.0.1.5/24' }],
      routes: [{ dst: 'default', via: '10.0.1.1' }],
      attach: { program: object.program('inward'), pin: join(directory, 'bpf', name) },
    });
    if (i >= WARM_UP) durations_ms.push(performance.now() - from_ms);
    await deleteLink({ name });
    rmSync(join(directory, 'bpf', name));
  }
  durations_ms.sort((a, b) => a - b);
  const [p50, p99] = [quantile(durations_ms, 0.5), quantile(durations_ms, 0.99)];
  console.log(`endpoint interface with ${present} namespaces: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
};

const sample = 'packages/kernel/src/testing/sample.bpf.c';
const directory = mkdtempSync(join(tmpdir(), 'megrez-bench-kernel-'));
const total = Number(process.argv[2] ?? 1000);
let made = 0;
try {
  await fillMap();
  mkdirSync(join(directory, 'bpf'));
  await mountBpffs(join(directory, 'bpf'));
  const machine = execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim();
  execFileSync('clang', [
    ...['-O2', '-g', '-target', 'bpf', `-I/usr/include/${machine}-linux-gnu`, '-c', sample],
    ...['-o', join(directory, 'sample.o')],
  ]);
  const object = await loadObject(join(directory, 'sample.o'));
  for (const present of [10, total]) {
    while (made < present) await createNetns(join(directory, `ns-${made++}`));
    await measureInterfaces(directory, object, present);
  }
  object.close();
} finally {
  for (let i = 0; i < made; i++) {
    const path = join(directory, `ns-${i}`);
    if (existsSync(path)) await deleteNetns(path);
  }
  await unmount(join(directory, 'bpf')).catch(() => undefined);
  rmSync(directory, { recursive: true, force: true });
}
