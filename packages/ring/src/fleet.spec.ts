import { SlotState, type SlotTable } from '@megrez/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FleetTable, ownersOf, type PlaceHost, place, placeFleet } from './index';

const weights = [50, 100, 100, 200];

const hostsOf = (count: number, weighted: boolean, zones = 1): PlaceHost[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `h${i + 1}`,
    address: `172.${16 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
    weight: weighted ? (weights[i % weights.length] ?? 0) : 0,
    zone: zones === 1 ? '' : `z${i % zones}`,
    eligible: true,
  }));

const tablesOf = (count: number, bouncers: number, hosts: readonly PlaceHost[]): FleetTable[] =>
  Array.from({ length: count }, (_, i) => {
    const options = { vni: 1 + (i >> 3), subnet: 1 + (i & 7), bouncers, pinned: [] };
    return { ...options, table: place({ ...options, hosts }) };
  });

const loads = (tables: readonly SlotTable[]): Map<string, number> => {
  const result = new Map<string, number>();
  for (const table of tables) {
    for (let slot = 0; slot < 256; slot += 1) {
      for (const { host } of ownersOf(table, slot)) result.set(host, (result.get(host) ?? 0) + 1);
    }
  }
  return result;
};

/** Slots that a host holds after and did not hold before. */
const copies = (before: readonly SlotTable[], after: readonly SlotTable[]): number =>
  before.reduce((sum, table, i) => {
    let changed = 0;
    for (let slot = 0; slot < 256; slot += 1) {
      const had = ownersOf(table, slot).map(({ host }) => host);
      changed += ownersOf(after[i] as SlotTable, slot).filter(({ host }) => !had.includes(host)).length;
    }
    return sum + changed;
  }, 0);

const expectBalanced = (tables: readonly SlotTable[], hosts: readonly PlaceHost[], bouncers: number): void => {
  const load = loads(tables);
  const eligible = hosts.filter((host) => host.eligible);
  const total = eligible.reduce((sum, host) => sum + (host.weight || 100), 0);
  const all = [...load.values()].reduce((sum, n) => sum + n, 0);
  // A tenth, and the smallest piece there is: an owner's part of one table, which is dealt +-1 in each role.
  const piece = 512 / bouncers + 2;
  for (const host of eligible) {
    const share = (all * (host.weight || 100)) / total;
    const held = load.get(host.name) ?? 0;
    expect(Math.abs(held - share), `${host.name}: ${held} of ${share}`).toBeLessThanOrEqual(0.1 * share + piece);
  }
  for (const table of tables) {
    for (const role of [0, 1]) {
      const counts = table.owners.map(
        (_, owner) => table.slots.filter((slot) => slot.holders[role]?.owner === owner).length,
      );
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
    for (const { holders } of table.slots) {
      expect(new Set(holders.map(({ owner }) => owner)).size).toBe(Math.min(2, bouncers));
      expect(holders.every(({ state }) => state === SlotState.SERVING)).toBe(true);
    }
  }
};

/** Zones that weigh the same: where they do not, keeping owners in different zones goes before balance. */
const fleets = fc
  .record({
    hosts: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 3, max: 40 }) }, fc.integer({ min: 100, max: 1_024 })),
    bouncers: fc.integer({ min: 2, max: 3 }),
    weighted: fc.boolean(),
    zones: fc.integer({ min: 1, max: 3 }),
  })
  .map((fleet) =>
    fleet.zones === 1 ? fleet : { ...fleet, weighted: false, hosts: fleet.hosts - (fleet.hosts % fleet.zones) },
  )
  .filter(({ hosts, bouncers }) => hosts >= bouncers);

/** A thousand hosts take seconds of a core, and the machine may be busy. */
const slow_ms = 180_000;

describe('placeFleet', () => {
  test(
    'every host has what its weight entitles it to, within a tenth and one piece',
    () => {
      fc.assert(
        fc.property(fleets, ({ hosts: count, bouncers, weighted, zones }) => {
          const hosts = hostsOf(count, weighted, zones);
          const tables = tablesOf(Math.min(300, count * 3), bouncers, hosts);
          const placed = placeFleet(hosts, tables);
          expect(placed).toHaveLength(tables.length);
          expectBalanced(placed, hosts, bouncers);
        }),
        { numRuns: 5, examples: [[{ hosts: 1_024, bouncers: 2, weighted: true, zones: 1 }]] },
      );
    },
    slow_ms,
  );

  test(
    'a balanced fleet stays as it is',
    () => {
      fc.assert(
        fc.property(fleets, ({ hosts: count, bouncers, weighted, zones }) => {
          const hosts = hostsOf(count, weighted, zones);
          const tables = tablesOf(Math.min(200, count * 2), bouncers, hosts);
          const once = placeFleet(hosts, tables);
          const twice = placeFleet(
            hosts,
            tables.map((table, i) => ({ ...table, table: once[i] as SlotTable })),
          );
          expect(copies(once, twice)).toBe(0);
        }),
        { numRuns: 4 },
      );
    },
    slow_ms,
  );

  test(
    'a new host takes its share from the others, and nothing else moves',
    () => {
      fc.assert(
        fc.property(fc.integer({ min: 4, max: 60 }), (count) => {
          const hosts = hostsOf(count + 1, false);
          const without = hosts.map((host, i) => ({ ...host, eligible: i < count }));
          const tables = tablesOf(count * 4, 2, without);
          const before = placeFleet(without, tables);
          const after = placeFleet(
            hosts,
            tables.map((table, i) => ({ ...table, table: before[i] as SlotTable })),
          );
          expectBalanced(after, hosts, 2);
          const taken = loads(after).get(`h${count + 1}`) ?? 0;
          expect(taken).toBeGreaterThan(0);
          expect(copies(before, after)).toBe(taken);
        }),
        { numRuns: 4 },
      );
    },
    slow_ms,
  );

  test(
    'a host that goes: exactly what it held is copied',
    () => {
      fc.assert(
        fc.property(fc.integer({ min: 4, max: 60 }), fc.nat(), (count, seed) => {
          const hosts = hostsOf(count, false);
          const tables = tablesOf(count * 4, 2, hosts);
          const before = placeFleet(hosts, tables);
          const gone = `h${(seed % count) + 1}`;
          const left = hosts.map((host) => ({ ...host, eligible: host.name !== gone }));
          const alone = tables.map((table, i) => ({ ...table, table: before[i] as SlotTable }));
          const after = alone.map((table) => place({ ...table, hosts: left }));
          expect(copies(before, after)).toBe(loads(before).get(gone));
          expect(loads(after).get(gone)).toBeUndefined();
        }),
        { numRuns: 4 },
      );
    },
    slow_ms,
  );

  test('pinned owners and fixed tables stay', () => {
    const hosts = hostsOf(6, false);
    const pinned = Array.from({ length: 12 }, (_, i): FleetTable => {
      const options = { vni: 1, subnet: i + 1, bouncers: 2, pinned: ['h1', 'h2'] };
      return { ...options, table: place({ ...options, hosts }) };
    });
    expect(placeFleet(hosts, pinned).every((table, i) => table === pinned[i]?.table)).toBe(true);
    const fixed = pinned.map((table) => ({ ...table, pinned: [], fixed: true }));
    expect(placeFleet(hosts, fixed).every((table, i) => table === fixed[i]?.table)).toBe(true);
  });
});
