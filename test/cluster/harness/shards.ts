// Slot tables and the jobs that change them, as an operator sees them.
import type { Shard } from '@megrez/model';
import type { TestCluster } from './cluster';
import { until } from './until';

/** Hosts that hold each of the 256 slots of a table. */
export type Holders = readonly ReadonlySet<string>[];

export const slotCount = 256;

/** Shards of a table; `subnet` '' is the VPC's dividers. Hosts that only forward late queries are left out. */
export async function shardsOf(cluster: TestCluster, vpc: string, subnet: string): Promise<readonly Shard[]> {
  const { shards } = await cluster.client.shard.listShards({ vpc, subnet, host: '', withoutEntries: false }).response;
  return shards.filter((shard) => shard.vpc === vpc && shard.subnet === subnet && shard.slots.length > 0);
}

export const holdersOf = (shards: readonly Shard[]): Holders =>
  Array.from(
    { length: slotCount },
    (_, slot) => new Set(shards.filter(({ slots }) => slots.includes(slot)).map(({ host }) => host)),
  );

/** Slots that some host holds now and did not before: what had to be copied. */
export const movesBetween = (before: Holders, after: Holders): number =>
  after.reduce((sum, holders, slot) => sum + [...holders].filter((host) => !before[slot]?.has(host)).length, 0);

/** Waits until the table has so many owners and nothing of it moves. */
export async function settled(
  cluster: TestCluster,
  vpc: string,
  subnet: string,
  owners: number,
): Promise<readonly Shard[]> {
  const rest = async () => {
    const shards = await shardsOf(cluster, vpc, subnet);
    const moving = shards.filter(({ loadingSlots, leavingSlots }) => loadingSlots + leavingSlots > 0);
    return `${shards.length} owners, ${moving.length} moving`;
  };
  await until(`table of ${vpc}/${subnet}`, rest, (seen) => seen === `${owners} owners, 0 moving`, {
    timeout_ms: 60_000,
  });
  return shardsOf(cluster, vpc, subnet);
}
