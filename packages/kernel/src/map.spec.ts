import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelError } from './error';
import { type BpfMap, createMap, openPinnedMap, openRingBuffer, UPDATE_EXIST, UPDATE_NOEXIST } from './map';
import { type BpfObject, loadObject } from './object';
import { createFixture, type Fixture, refusal, u32 } from './testing/fixture';

let fixture: Fixture;
let object: BpfObject;

beforeAll(async () => {
  fixture = await createFixture();
  object = await loadObject(fixture.compile());
});

afterAll(async () => {
  object?.close();
  await fixture?.dispose();
});

/** `0-3,5` -> 5 */
const possibleCpus = (): number =>
  readFileSync('/sys/devices/system/cpu/possible', 'utf8')
    .trim()
    .split(',')
    .map((range) => range.split('-').map(Number))
    .reduce((sum, [from = 0, to = from]) => sum + to - from + 1, 0);

const wideKeys = (count: number): Buffer => {
  const keys = Buffer.alloc(count * 20);
  for (let i = 0; i < count; i++) keys.writeUInt32LE(i, i * 20 + 16);
  return keys;
};

const u64s = (count: number): Buffer => {
  const values = Buffer.alloc(count * 8);
  for (let i = 0; i < count; i++) values.writeBigUInt64LE(BigInt(i) * 3n, i * 8);
  return values;
};

describe('one entry', () => {
  test('is written, read, refused by flags, deleted', () => {
    const map = object.map('paths');
    expect(map.lookup(u32(1))).toBeUndefined();
    map.update(u32(1), u32(7, 8));
    expect(map.lookup(u32(1))).toEqual(u32(7, 8));
    expect(() => map.update(u32(1), u32(0, 0), UPDATE_NOEXIST)).toThrow(
      expect.objectContaining({ name: 'KernelError', code: 'EEXIST', object: 'paths' }),
    );
    expect(() => map.update(u32(2), u32(0, 0), UPDATE_EXIST)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(map.delete(u32(1))).toBe(true);
    expect(map.delete(u32(1))).toBe(false);
  });

  test('buffers of a wrong length are refused, and nothing is written', async () => {
    const map = object.map('mappings');
    const before = await map.count();
    const key = Buffer.alloc(20);
    const value = Buffer.alloc(8);
    expect(() => map.lookup(Buffer.alloc(19))).toThrow(RangeError);
    expect(() => map.update(Buffer.alloc(21), value)).toThrow(/the key has 21 bytes, the map wants 20/);
    expect(() => map.update(key, Buffer.alloc(9))).toThrow(/the value has 9 bytes, the map wants 8/);
    expect(() => map.delete(Buffer.alloc(0))).toThrow(RangeError);
    expect(() => map.update('text' as never, value)).toThrow(TypeError);
    await expect(map.updateBatch(Buffer.alloc(40), Buffer.alloc(8))).rejects.toThrow(RangeError);
    await expect(map.updateBatch(Buffer.alloc(41), Buffer.alloc(16))).rejects.toThrow(RangeError);
    await expect(map.deleteBatch(Buffer.alloc(21))).rejects.toThrow(RangeError);
    expect(await map.count()).toBe(before);
  });

  test('a per-CPU value has one 8-byte aligned part for every possible CPU', () => {
    const map = object.map('counts_by_cpu_and_key');
    expect(map.valueSize).toBe(8 * possibleCpus());
    expect(possibleCpus()).toBeGreaterThanOrEqual(availableParallelism());
    const value = Buffer.alloc(map.valueSize);
    for (let cpu = 0; cpu < possibleCpus(); cpu++) value.writeUInt32LE(cpu + 1, cpu * 8);
    map.update(u32(9), value);
    expect(map.lookup(u32(9))).toEqual(value);
    expect(() => map.update(u32(9), u32(1))).toThrow(RangeError);
  });
});

describe('many entries', () => {
  test('are written, walked in small batches, deleted with gaps', async () => {
    const map = object.map('mappings');
    const count = 5000;
    await map.updateBatch(wideKeys(count), u64s(count));
    expect(await map.count()).toBe(count);
    const read = await map.entries({ batch: 7 });
    expect(read.count).toBe(count);
    const seen = new Map<number, bigint>();
    for (let i = 0; i < read.count; i++) {
      seen.set(read.keys.readUInt32LE(i * 20 + 16), read.values.readBigUInt64LE(i * 8));
    }
    expect(seen.size).toBe(count);
    expect([...seen].every(([key, value]) => value === BigInt(key) * 3n)).toBe(true);
    expect(map.delete(wideKeys(3).subarray(40, 60))).toBe(true);
    const { found, values } = await map.lookupBatch(wideKeys(count + 1));
    expect([...found.entries()].filter(([, there]) => there !== 1)).toEqual([
      [2, 0],
      [count, 0],
    ]);
    const expected = u64s(count + 1);
    for (const i of [2, count]) expected.writeBigUInt64LE(0n, i * 8);
    expect(values).toEqual(expected);
    expect(await map.lookupBatch(Buffer.alloc(0))).toEqual({ found: Buffer.alloc(0), values: Buffer.alloc(0) });
    await expect(map.lookupBatch(Buffer.alloc(21))).rejects.toThrow(RangeError);
    expect(await map.deleteBatch(wideKeys(count))).toBe(count - 1);
    expect(await map.count()).toBe(0);
    expect(await map.entries()).toEqual({ count: 0, keys: Buffer.alloc(0), values: Buffer.alloc(0) });
  });

  test('an error says at which entry it happened', async () => {
    const map = createMap({ type: 'hash', name: 'small', keySize: 4, valueSize: 4, maxEntries: 3 });
    const error = await refusal(() => map.updateBatch(u32(1, 2, 3, 4, 5), u32(1, 2, 3, 4, 5)));
    expect(error).toBeInstanceOf(KernelError);
    expect(error).toMatchObject({ code: 'E2BIG', object: 'small' });
    expect(error.message).toContain('at entry 3 of 5');
    expect(await map.count()).toBe(3);
    map.close();
  });

  test.each([
    ['hash', 4, 0],
    ['lru_hash', 4, 0],
    ['percpu_hash', 4, 0],
    ['lru_percpu_hash', 4, 0],
    ['lpm_trie', 8, 1],
  ])('%s is walked whole', async (type, keySize, flags) => {
    const map = createMap({ type, name: 'walk', keySize, valueSize: 4, maxEntries: 1000, flags });
    const count = 300;
    const keys = Buffer.alloc(count * keySize);
    for (let i = 0; i < count; i++) {
      if (keySize === 8) keys.writeUInt32LE(32, i * 8);
      keys.writeUInt32BE(i + 1, i * keySize + keySize - 4);
    }
    const values = Buffer.alloc(count * map.valueSize, 5);
    await map.updateBatch(keys, values);
    for (const batch of [undefined, 1, 64]) {
      const read = await map.entries(batch === undefined ? {} : { batch });
      const found = new Set<number>();
      for (let i = 0; i < read.count; i++) found.add(read.keys.readUInt32BE(i * keySize + keySize - 4));
      expect(found.size).toBe(count);
      expect(read.values.length).toBe(read.count * map.valueSize);
    }
    expect(await map.deleteBatch(keys)).toBe(count);
    map.close();
  });

  test('a kind without batches is walked key by key', async () => {
    const map = createMap({ type: 'devmap_hash', name: 'ports', keySize: 4, valueSize: 4, maxEntries: 50 });
    const keys = u32(...Array.from({ length: 20 }, (_, i) => i * 7));
    await map.updateBatch(keys, u32(...Array(20).fill(1)));
    const read = await map.entries();
    expect(read.count).toBe(20);
    expect(new Set(Array.from({ length: 20 }, (_, i) => read.keys.readUInt32LE(i * 4))).size).toBe(20);
    expect(await map.deleteBatch(Buffer.concat([u32(1), keys]))).toBe(20);
    expect(await map.count()).toBe(0);
    map.close();
  });

  test('arrays give every index', async () => {
    const settings = await object.map('settings').entries();
    expect(settings.count).toBe(16);
    expect(settings.keys.readUInt32LE(60)).toBe(15);
    expect((await object.map('counters').entries()).count).toBe(8);
  });

  test('a walk while others write sees what was there all the time', async () => {
    const map = createMap({ type: 'hash', name: 'busy', keySize: 4, valueSize: 4, maxEntries: 20_000, flags: 1 });
    const stable = Buffer.alloc(4000 * 4);
    for (let i = 0; i < 4000; i++) stable.writeUInt32LE(i, i * 4);
    const passing = Buffer.alloc(4000 * 4);
    for (let i = 0; i < 4000; i++) passing.writeUInt32LE(100_000 + i, i * 4);
    await map.updateBatch(stable, stable);
    const [read] = await Promise.all([
      map.entries({ batch: 16 }),
      map.updateBatch(passing, passing).then(() => map.deleteBatch(passing)),
    ]);
    const found = new Set<number>();
    for (let i = 0; i < read.count; i++) found.add(read.keys.readUInt32LE(i * 4));
    for (let i = 0; i < 4000; i++) expect(found.has(i)).toBe(true);
    map.close();
  });
});

describe('handles', () => {
  test('a map is pinned and opened again', async () => {
    const path = join(fixture.bpffs, 'a_name_longer_than_fifteen');
    const map = createMap({ type: 'array', name: 'pinned', keySize: 4, valueSize: 8, maxEntries: 2 });
    map.pin(path);
    expect(() => map.pin(path)).toThrow(expect.objectContaining({ code: 'EEXIST', object: path }));
    map.update(u32(1), u32(5, 6));
    const again = openPinnedMap(path);
    expect(again).toMatchObject({ name: 'a_name_longer_than_fifteen', id: map.id, type: 'array', valueSize: 8 });
    expect(again.lookup(u32(1))).toEqual(u32(5, 6));
    map.close();
    again.close();
    expect(() => openPinnedMap(join(fixture.bpffs, 'none'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  test('closing twice is harmless, use afterwards is an error, a running call finishes', async () => {
    const map = createMap({ type: 'hash', name: 'closing', keySize: 4, valueSize: 4, maxEntries: 10 });
    const writing = map.updateBatch(u32(1, 2), u32(3, 4));
    map.close();
    map.close();
    await writing;
    expect(() => map.lookup(u32(1))).toThrow(expect.objectContaining({ code: 'EBADF', object: 'closing' }));
    await expect(map.entries()).rejects.toMatchObject({ code: 'EBADF' });
  });

  test('an unknown map type and impossible sizes are refused', () => {
    const facts = { name: 'odd', keySize: 4, valueSize: 4, maxEntries: 1 };
    expect(() => createMap({ ...facts, type: 'heap' })).toThrow(/no map type is called heap/);
    expect(() => createMap({ ...facts, type: 'hash', maxEntries: 0 })).toThrow(
      expect.objectContaining({ code: 'EINVAL', operation: 'create map', object: 'odd' }),
    );
    expect(() => createMap({ ...facts, type: 'hash', keySize: -1 })).toThrow(TypeError);
  });
});

describe('ring buffer', () => {
  const packet = Buffer.alloc(100);
  const fire = async (times: number): Promise<void> => {
    await object.program('outward').testRun({ data: packet, repeat: times });
  };

  test('every record reaches the callback, in order; none after close', async () => {
    const lengths: number[] = [];
    let finished: () => void = () => undefined;
    const all = new Promise<void>((resolve) => {
      finished = resolve;
    });
    const ring = openRingBuffer(object.map('events'), (data) => {
      expect(data.length).toBe(8);
      lengths.push(data.readUInt32LE(0));
      if (lengths.length === 500) finished();
    });
    await fire(300);
    await fire(200);
    await all;
    expect(lengths).toEqual(Array(500).fill(100));
    ring.close();
    ring.close();
    await fire(10);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(lengths.length).toBe(500);
  });

  test('another map is refused', async () => {
    const map: BpfMap = object.map('paths');
    const error = await refusal(() => openRingBuffer(map, () => undefined));
    expect(error).toMatchObject({ code: 'EINVAL', object: 'paths' });
    expect(() => openRingBuffer(object.map('events'), undefined as never)).toThrow(TypeError);
  });
});
