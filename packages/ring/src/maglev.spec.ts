import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MaglevBackend, maglev, serviceBuckets } from './maglev';

const countsOf = (table: Uint8Array): ReadonlyMap<number, number> => {
  const counts = new Map<number, number>();
  for (const number of table) counts.set(number, (counts.get(number) ?? 0) + 1);
  return counts;
};

const moved = (before: Uint8Array, after: Uint8Array): number =>
  before.filter((number, i) => number !== after[i]).length;

const equal = (count: number, network = 0): MaglevBackend[] =>
  Array.from({ length: count }, (_, number) => ({ number, name: `10.0.${network}.${number + 2}:8080`, weight: 100 }));

const weight = fc.oneof(fc.constant(100), fc.integer({ min: 1, max: 10_000 }));
const backend = fc
  .record({ number: fc.nat(99), weight })
  .map(({ number, weight }): MaglevBackend => ({ number, weight, name: `10.0.0.${number}:80` }));
const backends = fc.uniqueArray(backend, { selector: ({ number }) => number, minLength: 1, maxLength: 60 });

/** Every bucket has a backend of the list, and every backend its share to within one. */
const expectShares = (table: Uint8Array, list: readonly MaglevBackend[]): void => {
  expect(table).toHaveLength(serviceBuckets);
  const sum = list.reduce((total, { weight }) => total + weight, 0);
  const counts = countsOf(table);
  let seen = 0;
  for (const { number, weight } of list) {
    const count = counts.get(number) ?? 0;
    expect(Math.abs(count - (weight * serviceBuckets) / sum)).toBeLessThan(1);
    seen += count;
  }
  expect(seen).toBe(serviceBuckets);
};

test('nobody has a table without buckets, one has all of them', () => {
  expect(maglev([])).toHaveLength(0);
  expect([...countsOf(maglev(equal(1)))]).toEqual([[0, serviceBuckets]]);
});

test('shares follow the weights, through any history', () => {
  expect.hasAssertions();
  fc.assert(
    fc.property(fc.array(backends, { minLength: 1, maxLength: 8 }), (history) => {
      let table = new Uint8Array(0);
      for (const list of history) {
        table = new Uint8Array(maglev(list, table));
        expectShares(table, list);
      }
    }),
    { numRuns: 200 },
  );
});

test('a table depends on who is there, not on their order', () => {
  fc.assert(
    fc.property(backends, (list) => {
      const table = maglev(list);
      expect(maglev(list.toReversed())).toEqual(table);
      expect(maglev(list, table)).toEqual(table);
    }),
  );
});

test('who leaves takes nobody along, but for what rounding asks', () => {
  fc.assert(
    fc.property(backends, fc.nat(), (list, nth) => {
      fc.pre(list.length > 1);
      const gone = list[nth % list.length] as MaglevBackend;
      const before = maglev(list);
      const after = maglev(
        list.filter((one) => one !== gone),
        before,
      );
      const must = countsOf(before).get(gone.number) ?? 0;
      // 1 % of the buckets is 10.
      expect(moved(before, after) - must).toBeLessThanOrEqual(10);
    }),
    { numRuns: 500 },
  );
});

test.each([2, 3, 5, 10, 20, 50, 100])(
  'of %i equal backends one leaves or comes: its share moves, and no bucket more',
  (count) => {
    for (let network = 0; network < 10; network += 1) {
      const all = equal(count, network);
      const whole = maglev(all);
      const gone = all[network % count] as MaglevBackend;
      const rest = all.filter((one) => one !== gone);
      const left = maglev(rest, whole);
      expect(moved(whole, left)).toBe(countsOf(whole).get(gone.number));
      const again = maglev(all, left);
      expect(moved(left, again)).toBe(countsOf(again).get(gone.number));
    }
  },
);

test('tables of other backends are others: no bucket belongs to a number by itself', () => {
  expect(moved(maglev(equal(10, 1)), maglev(equal(10, 2)))).toBeGreaterThan(serviceBuckets / 2);
});
