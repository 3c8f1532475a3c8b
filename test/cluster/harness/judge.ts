// What the specs ask of traffic and tables, in one place.
import { JobState, type Shard, type ShardProgress } from '@megrez/model';
import { expect } from 'vitest';
import type { TestCluster } from './cluster';
import { whole, wholeEchoes } from './flows';
import { type LoadOptions, load, type Outcome, type Parties } from './load';
import { holdersOf, slotCount } from './shards';
import { allOf } from './traffic';

/** Everything arrived, once, where it should. */
export function expectWhole({ account, pings, streams }: Outcome): void {
  expect(account).toMatchObject({ ...whole, echoes: wholeEchoes });
  expect(account.sent).toBeGreaterThan(0);
  for (const pinged of pings) {
    expect(pinged).toEqual(allOf(pinged.sent));
  }
  for (const { sent, received, bad, broken } of streams) {
    expect({ received, bad, broken }).toEqual({ received: sent, bad: 0, broken: false });
  }
}

/** Runs traffic of every kind while something happens, and finds all of it whole. */
export async function expectUnharmed(
  cluster: TestCluster,
  parties: Parties,
  what: () => Promise<void>,
  options?: LoadOptions,
): Promise<void> {
  const running = await load(cluster, parties, options);
  let outcome: Outcome | undefined;
  try {
    await what();
  } finally {
    outcome = await running.finish();
  }
  expectWhole(outcome);
}

/** Whole, at rest, balanced within one slot, and every slot with as many owners as there can be. */
export function expectBalanced(shards: readonly Shard[], owners: number): void {
  expect(shards).toHaveLength(owners);
  const replicas = Math.min(2, owners);
  for (const holders of holdersOf(shards)) {
    expect(holders.size).toBe(replicas);
  }
  const spread = (values: readonly number[]) => Math.max(...values) - Math.min(...values);
  const primaries = shards.map(({ primarySlots }) => primarySlots);
  expect(primaries.reduce((sum, n) => sum + n, 0)).toBe(slotCount);
  expect(spread(primaries)).toBeLessThanOrEqual(1);
  expect(spread(shards.map(({ secondarySlots }) => secondarySlots))).toBeLessThanOrEqual(1);
}

/** Follows a job to its end, which must be DONE. */
export async function done(call: { readonly responses: AsyncIterable<ShardProgress> }): Promise<ShardProgress> {
  let last: ShardProgress | undefined;
  for await (const progress of call.responses) {
    expect(progress.done).toBeLessThanOrEqual(progress.total);
    last = progress;
  }
  expect(last?.job).toMatchObject({ state: JobState.DONE });
  return last as ShardProgress;
}
