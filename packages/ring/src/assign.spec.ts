import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assign } from './assign';

/** All balanced deals, tried one by one. */
const cheapest = (costs: readonly (readonly number[])[], bins: number): number => {
  const share = Math.floor(costs.length / bins);
  const most = costs.length % bins === 0 ? share : share + 1;
  const sizes = Array.from({ length: bins }, () => 0);
  const from = (item: number): number => {
    if (item === costs.length) return sizes.every((size) => size >= share) ? 0 : Number.POSITIVE_INFINITY;
    let best = Number.POSITIVE_INFINITY;
    for (let bin = 0; bin < bins; bin++) {
      if (sizes[bin] === most) continue;
      sizes[bin] = (sizes[bin] as number) + 1;
      best = Math.min(best, (costs[item]?.[bin] as number) + from(item + 1));
      sizes[bin] = (sizes[bin] as number) - 1;
    }
    return best;
  };
  return from(0);
};

const matrix = fc.integer({ min: 1, max: 4 }).chain((bins) =>
  fc.record({
    bins: fc.constant(bins),
    costs: fc.array(
      fc.array(fc.oneof({ weight: 6, arbitrary: fc.nat(9) }, fc.constant(Number.POSITIVE_INFINITY)), {
        minLength: bins,
        maxLength: bins,
      }),
      { maxLength: 7 },
    ),
  }),
);

test('no balanced deal costs less, and one is found whenever there is one', () => {
  fc.assert(
    fc.property(matrix, ({ bins, costs }) => {
      const deal = assign(costs, bins);
      const cost = deal?.reduce((sum, bin, item) => sum + (costs[item]?.[bin] as number), 0);
      expect(cost ?? Number.POSITIVE_INFINITY).toBe(cheapest(costs, bins));
      const sizes = Array.from({ length: bins }, (_, bin) => deal?.filter((other) => other === bin).length ?? 0);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
    { numRuns: 2_000 },
  );
});
