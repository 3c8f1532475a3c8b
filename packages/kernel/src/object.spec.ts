import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KernelError } from './error';
import { createMap, openPinnedMap } from './map';
import { loadObject } from './object';
import { createFixture, type Fixture, refusal, u32 } from './testing/fixture';

let fixture: Fixture;
let path: string;

beforeAll(async () => {
  fixture = await createFixture();
  path = fixture.compile();
});

afterAll(async () => {
  await fixture?.dispose();
});

const u64 = (value: bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(value);
  return buffer;
};

test('every program and map is there, under its name', async () => {
  const object = await loadObject(path);
  expect(object.programs.map((program) => [program.name, program.type])).toEqual([
    ['inward', 'sched_cls'],
    ['outward', 'sched_cls'],
    ['arrive', 'xdp'],
  ]);
  expect(object.map('mappings')).toMatchObject({ type: 'hash', keySize: 20, valueSize: 8, maxEntries: 20_000 });
  expect(object.map('routes')).toMatchObject({ type: 'lpm_trie', keySize: 8, valueSize: 4 });
  expect(() => object.map('nothing')).toThrow(/no map nothing/);
  expect(() => object.program('nothing')).toThrow(/no program nothing/);
  const info = object.program('inward').info();
  expect(info.tag).toMatch(/^[0-9a-f]{16}$/);
  expect(info.verifiedInstructions).toBeGreaterThan(5);
  expect(info.jitedBytes).toBeGreaterThan(0);
  expect(info.loadTime_ns).toBeGreaterThan(0);
  object.close();
  object.close();
  expect(() => object.program('inward').info()).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('constants are set by name, and must fit', async () => {
  const object = await loadObject(path, { rodata: { verdict: u32(2), magic: u64(40n) } });
  const run = await object.program('inward').testRun({ data: Buffer.alloc(60), ctx: { mark: 2 } });
  expect(run.retval).toBe(2);
  expect(run.ctx?.readUInt32LE(8)).toBe(42);
  object.close();
  expect(await refusal(() => loadObject(path, { rodata: { verdict: u64(2n) } }))).toMatchObject({
    code: 'EINVAL',
    object: 'verdict',
    message: expect.stringContaining('it has 4 bytes, 8 were given'),
  });
  expect(await refusal(() => loadObject(path, { rodata: { verdikt: u32(2) } }))).toMatchObject({
    code: 'ENOENT',
    object: 'verdikt',
  });
});

test('map settings are applied before the maps are made', async () => {
  const object = await loadObject(path, {
    maps: { paths: { maxEntries: 128 }, counts_by_cpu_and_key: { noPrealloc: true } },
  });
  expect(object.map('paths').maxEntries).toBe(128);
  object.close();
  expect(await refusal(() => loadObject(path, { maps: { none: { maxEntries: 1 } } }))).toMatchObject({
    code: 'ENOENT',
    object: 'none',
  });
});

test('pinned maps are found again with their contents; global data is not pinned', async () => {
  const pinDir = join(fixture.bpffs, 'maps');
  const first = await loadObject(path, { pinDir });
  first.map('paths').update(u32(1), u64(77n));
  expect(readdirSync(pinDir).sort()).toEqual(
    ['counters', 'events', 'mappings', 'paths', 'counts_by_cpu_and_key', 'routes', 'settings'].sort(),
  );
  first.close();
  const second = await loadObject(path, { pinDir, rodata: { verdict: u32(1) } });
  expect(second.map('paths').lookup(u32(1))).toEqual(u64(77n));
  expect(second.map('counts_by_cpu_and_key').type).toBe('percpu_hash');
  second.close();
  const pinned = openPinnedMap(join(pinDir, 'paths'));
  expect(pinned.lookup(u32(1))).toEqual(u64(77n));
  pinned.close();
});

test('an incompatible pinned map is named with both shapes, and stays as it is', async () => {
  const pinDir = join(fixture.bpffs, 'other');
  const seed = await loadObject(path, { pinDir });
  seed.close();
  rmSync(join(pinDir, 'paths'));
  rmSync(join(pinDir, 'routes'));
  const wrong = createMap({ type: 'hash', name: 'paths', keySize: 4, valueSize: 16, maxEntries: 4096 });
  wrong.pin(join(pinDir, 'paths'));
  const error = await refusal(() => loadObject(path, { pinDir }));
  expect(error).toBeInstanceOf(KernelError);
  expect(error).toMatchObject({ code: 'EINVAL', operation: 'reuse pinned map', object: join(pinDir, 'paths') });
  expect(error.message).toContain('pinned hash key=4 value=16 max_entries=4096');
  expect(error.message).toContain('wanted lru_hash key=4 value=8 max_entries=4096');
  expect(openPinnedMap(join(pinDir, 'paths')).id).toBe(wrong.id);
  expect(existsSync(join(pinDir, 'routes'))).toBe(false);
  wrong.close();
});

test('the verifier is quoted, and a failed load leaves no pins', async () => {
  const bad = fixture.compile(
    `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1); } seen SEC(".maps");
SEC("tc") int reckless(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&seen, &zero);
	return (int)*value; /* not checked */
}
char _license[] SEC("license") = "GPL";
`,
    'bad',
  );
  const pinDir = join(fixture.bpffs, 'bad');
  const error = await refusal(() => loadObject(bad, { pinDir }));
  expect(error).toMatchObject({ name: 'KernelError', code: 'EACCES', operation: 'load', object: bad });
  expect(error.log).toMatch(/reckless/);
  expect(error.log).toMatch(/invalid mem access 'map_value_or_null'/);
  expect(readdirSync(pinDir)).toEqual([]);
});

test('files and directories that are not what they should be', async () => {
  expect(await refusal(() => loadObject(join(fixture.directory, 'none.o')))).toMatchObject({ code: 'ENOENT' });
  expect(await refusal(() => loadObject('/etc/hostname'))).toMatchObject({
    operation: 'open',
    object: '/etc/hostname',
  });
  const pinDir = join(fixture.directory, 'plain');
  const error = await refusal(() => loadObject(path, { pinDir }));
  expect(error).toMatchObject({ code: 'EINVAL', object: pinDir });
  expect(error.message).toContain('not on a bpffs');
  expect(await refusal(() => loadObject(7 as never))).toBeInstanceOf(TypeError);
  expect(await refusal(() => loadObject('x'.repeat(600)))).toBeInstanceOf(TypeError);
});
