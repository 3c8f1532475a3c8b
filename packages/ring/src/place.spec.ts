import type { SlotTable } from '@megrez/model';
import { SlotState } from '@megrez/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ownersOf, type PlaceHost, place } from './index';

const hostsOf = (count: number, zones = 1): PlaceHost[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `h${i + 1}`,
    address: `172.16.${i >> 8}.${i & 255}`,
    weight: 0,
    zone: zones === 1 ? '' : `z${i % zones}`,
    eligible: true,
  }));

const base = { vni: 7, subnet: 1, pinned: [], object: 'subnet acme/web' } as const;

const counts = (table: SlotTable, role: number): number[] => {
  const result = table.owners.map(() => 0);
  for (const slot of table.slots) {
    const owner = slot.holders[role]?.owner;
    if (owner !== undefined) result[owner] = (result[owner] as number) + 1;
  }
  return result;
};

const expectBalanced = (table: SlotTable, bouncers: number): void => {
  expect(table.owners).toHaveLength(bouncers);
  expect(table.slots).toHaveLength(256);
  const share = Math.floor(256 / bouncers);
  for (const role of bouncers === 1 ? [0] : [0, 1]) {
    const held = counts(table, role);
    expect(held.reduce((sum, n) => sum + n, 0)).toBe(256);
    for (const n of held) expect(n === share || (n === share + 1 && 256 % bouncers !== 0)).toBe(true);
  }
  for (const slot of table.slots) {
    expect(slot.holders).toHaveLength(Math.min(2, bouncers));
    expect(new Set(slot.holders.map((holder) => holder.owner)).size).toBe(slot.holders.length);
    for (const holder of slot.holders) expect(holder.state).toBe(SlotState.SERVING);
  }
};

/** Slots that a host holds after and did not hold before: what must be copied. */
const copies = (before: SlotTable, after: SlotTable): number => {
  let result = 0;
  for (let slot = 0; slot < 256; slot++) {
    const had = new Set(ownersOf(before, slot).map((owner) => owner.host));
    result += ownersOf(after, slot).filter((owner) => !had.has(owner.host)).length;
  }
  return result;
};

const places = (table: SlotTable, host: string): number =>
  Array.from({ length: 256 }, (_, slot) => ownersOf(table, slot))
    .flat()
    .filter((owner) => owner.host === host).length;

const shuffle = <T>(items: readonly T[], seed: number): T[] =>
  items
    .map((item, i) => ({ item, order: Math.imul(i + 1, seed | 1) >>> 0 }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);

describe('place', () => {
  test.each([1, 2, 3, 5, 8, 16, 64, 255, 256])('deals +-1 among %i owners', (bouncers) => {
    const table = place({ ...base, hosts: hostsOf(256), bouncers });
    expect(table.owners).toHaveLength(bouncers);
    expectBalanced(table, bouncers);
  });

  test('is deterministic and independent of the order of the hosts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 3 }), fc.integer(), (n, zones, seed) => {
        const hosts = hostsOf(n + 4, zones);
        const options = { ...base, vni: (seed >>> 8) + 1, bouncers: n };
        const first = place({ ...options, hosts });
        expectBalanced(first, n);
        expect(place({ ...options, hosts: shuffle(hosts, seed) })).toEqual(first);
      }),
      { numRuns: 40 },
    );
  });

  test('returns a table that is as it should be', () => {
    const hosts = hostsOf(5, 2);
    const table = place({ ...base, hosts, bouncers: 3 });
    expect(table.epoch).toBe(1);
    expect(place({ ...base, hosts: hosts.toReversed(), bouncers: 3, table })).toBe(table);
    expect(place({ ...base, hosts: hostsOf(9, 2), bouncers: 3, table })).toBe(table);
  });

  test('an owner more: it gets its share, twice floor(256 / owners), and nothing else is copied', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 1 << 20 }), (n, vni) => {
        const hosts = hostsOf(n + 3);
        const before = place({ ...base, vni, hosts, bouncers: n });
        const after = place({ ...base, vni, hosts, bouncers: n + 1, table: before });
        expectBalanced(after, n + 1);
        expect(after.epoch).toBe(2);
        expect(copies(before, after)).toBe(2 * Math.floor(256 / (n + 1)));
      }),
      { numRuns: 40 },
    );
  });

  test('an owner less: exactly what it held is copied', () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 40 }), fc.integer({ min: 1, max: 1 << 20 }), (n, vni) => {
        const hosts = hostsOf(n);
        const before = place({ ...base, vni, hosts, bouncers: n });
        const dead = `h${(vni % n) + 1}`;
        const after = place({
          ...base,
          vni,
          hosts: hosts.map((host) => (host.name === dead ? { ...host, eligible: false } : host)),
          bouncers: n - 1,
          table: before,
        });
        expectBalanced(after, n - 1);
        expect(copies(before, after)).toBe(places(before, dead));
      }),
      { numRuns: 40 },
    );
  });

  test('from 1 to 2 every slot is copied once, and back nothing is', () => {
    const hosts = hostsOf(2);
    const one = place({ ...base, hosts, bouncers: 1 });
    const two = place({ ...base, hosts, bouncers: 2, table: one });
    expect(copies(one, two)).toBe(256);
    expect(copies(two, place({ ...base, hosts, bouncers: 1, table: two }))).toBe(0);
  });
});
