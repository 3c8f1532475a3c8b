import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePath, decodePort, encodePath, encodePort, encodePrefixKey, type MapName, maps, PathState } from '.';

/** 10.0.1.7 */
const ip = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 1, 7);

describe('every codec', () => {
  const codecs = Object.entries(maps).flatMap(([name, { key, value }]) => [
    { name: `${name} key`, codec: key },
    { name: `${name} value`, codec: value },
  ]);
  test.each(codecs)('$name: decode, encode, decode gives the same', ({ codec: { size, encode, decode } }) => {
    const again = encode as (value: unknown) => Buffer;
    // Small bytes, so that generations stay safe integers.
    const bytes = fc.uint8Array({ minLength: size, maxLength: size, max: 0x1f });
    fc.assert(
      fc.property(bytes, (random) => {
        // The upper bytes of a generation are among them: clear what makes one unsafe.
        const buffer = Buffer.from(random).map((byte, i) => (i % 8 >= 6 ? 0 : byte)) as Buffer;
        const encoded = again(decode(buffer));
        expect(encoded.length).toBe(size);
        expect(decode(encoded)).toEqual(decode(buffer));
      }),
    );
  });

  test.each(codecs)('$name: refuses a buffer that is too short', ({ codec: { size, decode } }) => {
    expect(() => decode(Buffer.alloc(size / 2))).toThrow(RangeError);
  });
});

const none = new Uint8Array(16);

test('a row is laid out as in the header', () => {
  const row = encodePort({
    vni: 0x010203,
    subnet: 5,
    ip4: {
      ip,
      gateway: ip.map((byte, i) => (i === 15 ? 1 : byte)),
      network: ip.map((byte, i) => (i === 15 ? 0 : byte)),
      mask: new Uint8Array(16).fill(0xff, 0, 15),
    },
    ip6: { ip: none, gateway: none, network: none, mask: none },
    generation: 0x1_0000_0002,
    mac: Uint8Array.of(2, 0x4d, 10, 0, 1, 7),
    mtu: 1386,
  });
  expect(row.toString('hex')).toBe(
    '03020100' +
      '05000000' +
      '00000000000000000000ffff0a000107' +
      '00000000000000000000ffff0a000101' +
      '00000000000000000000ffff0a000100' +
      'ffffffffffffffffffffffffffffff00' +
      '00'.repeat(64) +
      '0200000001000000' +
      '024d0a000107' +
      '6a05',
  );
  expect(decodePort(row).generation).toBe(0x1_0000_0002);
});

test('padding is zero, and no field of the type', () => {
  const path = {
    key: { vni: 7, ip },
    state: PathState.told,
    host: ip,
    asked: none,
    generation: 9,
    told_at: 1n,
    asked_at: 2n,
    checked_at: 3n,
    live_at: 4n,
    mac: new Uint8Array(6).fill(0xee),
    asks: 255,
  };
  const row = encodePath(path);
  expect(row[103]).toBe(0);
  expect(decodePath(row)).toEqual(path);
});

test('what does not fit is refused', () => {
  expect(() => encodePrefixKey({ length: 128, address: Uint8Array.of(10, 0, 1, 7) })).toThrow(RangeError);
  expect(() => encodePrefixKey({ length: -1, address: ip })).toThrow(RangeError);
  const mapping = { host: ip, generation: Number.MAX_SAFE_INTEGER, mac: new Uint8Array(6) };
  expect(maps.mappings.value.decode(maps.mappings.value.encode(mapping))).toEqual(mapping);
  expect(() => maps.mappings.value.encode({ ...mapping, generation: 2 ** 53 })).toThrow(RangeError);
  expect(() => maps.mappings.value.decode(Buffer.alloc(32, 0xff))).toThrow(RangeError);
});

test('decoded bytes do not change with the buffer', () => {
  const buffer = Buffer.alloc(20, 1);
  const key = maps.endpoints.key.decode(buffer);
  buffer.fill(2);
  expect(key.ip).toEqual(new Uint8Array(16).fill(1));
});

test('names of maps', () => {
  const names: MapName[] = ['ports', 'mappings', 'slots', 'counters'];
  for (const name of names) expect(maps[name].max_entries).toBeGreaterThan(0);
  expect(maps.counters.type).toBe('percpu_array');
});
