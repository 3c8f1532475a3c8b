import { maps } from '@megrez/abi';
import type { Address } from '@megrez/model';
import { type RowKey, row, rowId } from '@megrez/plan';
import type { Logger } from 'pino';
import type { Rows } from './rows';

/** Hard leases for which the packets of an endpoint that moved may still come. */
const leases = 2n;
/**
 * Beyond the soft lease every path asks, and a question about an endpoint that is gone is answered without a tombstone:
 * only the packets before that need one.
 */
const margin_ns = 1_000_000_000n;

/**
 * Endpoints that left this host a short while ago: the datapath passes their packets on, or calls them gone. The kernel's
 * map is the memory: what is in it outlives the agent.
 */
export interface Tombstones {
  /** The endpoint of this row of `endpoints` left: to a host, or (all zero) for ever. Before the row is removed. */
  bury(key: RowKey, host: Address, generation: number): void;
  /** Its address is here again. After its row is written. */
  lift(key: RowKey): void;
  /** Has the VNI any? Then it must stay known. */
  within(vni: number): boolean;
  /** Removes what is over; returns the VNIs that have none any more. */
  sweep(): readonly number[];
}

export const openTombstones = async (rows: Rows, log: Logger): Promise<Tombstones> => {
  const known = new Map<string, { readonly key: RowKey; readonly vni: number; readonly until: bigint }>();
  const keyOf = ({ key }: RowKey): RowKey => ({ map: 'tombstones', key });
  /** By VNI. */
  const counts = new Map<number, number>();
  const count = (vni: number, change: number): void => {
    const now = (counts.get(vni) ?? 0) + change;
    if (now === 0) counts.delete(vni);
    else counts.set(vni, now);
  };
  const remember = (key: RowKey, until: bigint): void => {
    const { vni } = maps.tombstones.key.decode(key.key);
    if (!known.has(rowId(key))) count(vni, 1);
    known.set(rowId(key), { key, vni, until });
  };
  for (const { key, value } of await rows.entries('tombstones')) {
    remember({ map: 'tombstones', key }, maps.tombstones.value.decode(value).until);
  }

  const life_ns = (host: Address): bigint => {
    const row = rows.lookup({ map: 'config', key: maps.config.key.encode(0) });
    if (row === undefined) return 0n;
    const { hard_lease_ns, soft_lease_ns } = maps.config.value.decode(row);
    return host.some((byte) => byte !== 0) ? leases * hard_lease_ns : soft_lease_ns + margin_ns;
  };
  const remove = (id: string, key: RowKey): void => {
    rows.remove(key);
    const one = known.get(id);
    if (one !== undefined && known.delete(id)) count(one.vni, -1);
  };

  return {
    bury: (endpoint, host, generation) => {
      const key = keyOf(endpoint);
      const until = process.hrtime.bigint() + life_ns(host);
      try {
        rows.put(row('tombstones', maps.tombstones.key.decode(key.key), { host, generation, until }));
        remember(key, until);
      } catch (error) {
        // Peers find out by their leases; the endpoint must go all the same.
        log.error({ error, ...maps.tombstones.key.decode(key.key) }, 'tombstone could not be written');
      }
    },
    lift: (endpoint) => {
      const key = keyOf(endpoint);
      const id = rowId(key);
      if (known.has(id)) remove(id, key);
    },
    within: (vni) => counts.has(vni),
    sweep: () => {
      const now = process.hrtime.bigint();
      const over = [...known].filter(([, { until }]) => until <= now);
      for (const [id, { key }] of over) remove(id, key);
      return [...new Set(over.map(([, { vni }]) => vni))].filter((vni) => !counts.has(vni));
    },
  };
};
