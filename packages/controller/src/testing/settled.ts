/** What must be true of slots when nothing moves, for specs. */
import { SlotState } from '@megrez/model';
import { keys, type Store } from '@megrez/store';
import { expect } from 'vitest';
import type { Cluster } from './cluster';
import { connectShards } from './shards';

const web = { vpc: 'acme', subnet: 'web' };

/** What every table must be when nothing moves: balanced, two hosts per slot, everything at who holds it. */
export const settled = async (cluster: Cluster, store: Store): Promise<Map<string, number>> => {
  const { shards } = await listed(cluster);
  const tables = Map.groupBy(shards, ({ vpc, subnet }) => `${vpc}/${subnet}`);
  const load = new Map<string, number>();
  for (const parts of tables.values()) {
    const holders = parts.filter(({ slots }) => slots.length > 0);
    for (const count of [holders.map((part) => part.primarySlots), holders.map((part) => part.secondarySlots)]) {
      expect(Math.max(...count) - Math.min(...count)).toBeLessThanOrEqual(1);
    }
    for (const part of holders) {
      expect(part).toMatchObject({ state: SlotState.SERVING, loadingSlots: 0, leavingSlots: 0, job: 0 });
      load.set(part.host, (load.get(part.host) ?? 0) + part.slots.length);
    }
  }
  await heldRight(cluster, store);
  return load;
};

const listed = async (cluster: Cluster) => {
  const shards = connectShards(cluster.controllers.at(-1)?.addresses[0] as string);
  try {
    return await shards.call('listShards');
  } finally {
    shards.close();
  }
};

/** Each host holds its own endpoints and those of its slots, and no others. */
export const heldRight = async (cluster: Cluster, store: Store): Promise<void> => {
  const { endpoints } = await cluster.api.call('listEndpoints', { ...web });
  const table = (await store.get(keys.slots(endpoints[0]?.vni ?? 0, 1)))?.value;
  for (const [host, peer] of cluster.peers) {
    const names = endpoints
      .filter((endpoint) => {
        const holders = table?.slots[endpoint.slot]?.holders.map(({ owner }) => table.owners[owner]?.host);
        return endpoint.host === host || holders?.includes(host);
      })
      .map(({ name }) => name)
      .sort();
    const held = (): string[] => [...peer.endpoints.values()].map(({ value }) => value.name).sort();
    await eventually(() => expect([host, held()]).toEqual([host, names]));
  }
};

/** As expect.poll does, also in tests that run at the same time as others. */
export const eventually = async (check: () => void | Promise<void>, timeout_ms = 10_000): Promise<void> => {
  const end = performance.now() + timeout_ms;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
};
