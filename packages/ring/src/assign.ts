/**
 * Deals items to bins of equal share at the least total cost: every bin gets floor(items/bins) or one more.
 *
 * `costs[item][bin]` are numbers >= 0, Infinity forbids. Exact (successive shortest paths: each item takes the cheapest
 * chain "it goes to x, one of x's goes to y, ..." that ends in a bin with room) and deterministic.
 * Returns the bin of each item, or undefined when the forbidden pairs leave no balanced deal.
 */
export const assign = (costs: readonly (readonly number[])[], bins: number): readonly number[] | undefined => {
  const share = Math.floor(costs.length / bins);
  const extras = costs.length - share * bins;
  const held = Array.from({ length: bins }, () => new Set<number>());
  const steps: Step[][] = held.map(() => Array.from({ length: bins }, () => nothing));
  const result: number[] = costs.map(() => -1);
  let extrasUsed = 0;

  const size = (bin: number): number => at(held, bin).size;
  const hasRoom = (bin: number): boolean => size(bin) < share || (size(bin) === share && extrasUsed < extras);

  /** The cheapest way for x, which must hold one less, to make y hold one more. */
  const stepFrom = (x: number, y: number): Step => {
    let best = nothing;
    for (const item of at(held, x)) {
      const cost = at(at(costs, item), y) - at(at(costs, item), x);
      if (cost < best.cost || (cost === best.cost && item < best.item)) best = { item, cost };
    }
    return best;
  };

  for (let item = 0; item < costs.length; item++) {
    const distance = [...at(costs, item)];
    const via: (Move | undefined)[] = distance.map(() => undefined);
    // A cheapest bin with room is never improved by a chain out of it: else the deal so far were not the cheapest.
    if (!hasRoom(distance.indexOf(Math.min(...distance)))) relax(distance, via);

    let end = -1;
    for (let bin = 0; bin < bins; bin++) {
      if (hasRoom(bin) && at(distance, bin) < (end === -1 ? Number.POSITIVE_INFINITY : at(distance, end))) end = bin;
    }
    if (end === -1) return undefined;
    if (size(end) === share) extrasUsed++;

    const touched = [end];
    let bin = end;
    for (let back = via[bin]; back !== undefined; back = via[bin]) {
      if (back.step.item !== -1) {
        at(held, back.x).delete(back.step.item);
        at(held, bin).add(back.step.item);
        result[back.step.item] = bin;
      }
      bin = back.x;
      touched.push(bin);
    }
    at(held, bin).add(item);
    result[item] = bin;
    for (const x of touched) for (let y = 0; y < bins; y++) at(steps, x)[y] = stepFrom(x, y);
  }
  return result;

  /** Bellman-Ford over bins: distance[y] becomes the least cost of a chain that makes y hold one more. */
  function relax(distance: number[], via: (Move | undefined)[]): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (let x = 0; x < bins; x++) {
        if (at(distance, x) === Number.POSITIVE_INFINITY || hasRoom(x)) continue;
        for (let y = 0; y < bins; y++) {
          if (y === x) continue;
          let step = at(at(steps, x), y);
          // x at its share may keep everything when y, which has one more, gives up that extra place instead.
          if (step.cost > 0 && size(x) === share && size(y) > share) step = extraPlace;
          if (at(distance, x) + step.cost < at(distance, y)) {
            distance[y] = at(distance, x) + step.cost;
            via[y] = { x, step };
            changed = true;
          }
        }
      }
    }
  }
};

interface Step {
  readonly item: number;
  readonly cost: number;
}

/** How a chain reaches a bin: from x, by this step. */
interface Move {
  readonly x: number;
  readonly step: Step;
}

const nothing: Step = { item: -1, cost: Number.POSITIVE_INFINITY };
const extraPlace: Step = { item: -1, cost: 0 };

const at = <T>(array: readonly T[], index: number): T => array[index] as T;
