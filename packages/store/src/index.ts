/**
 * The only door to etcd, and the only place that knows its keys (`keys`, `parseKey`).
 *
 * `openStore({ endpoints })` connects, reads (or, once, writes) the store id, and answers a `Store`: typed reads,
 * conditional writes, leases, and one ordered watch on the whole layout. All errors are `StoreError` with a closed code.
 *
 * Guarantees
 * - Reads see every write that was answered before they began (linearizable), or exactly the revision they name.
 *   `range` reads any number of entries at one revision, in pages of about 4 MB.
 * - `txn` is one revision or nothing. When a compare fails, the answer holds what the compared keys hold, read in the
 *   same revision.
 * - Every call has a deadline (5 s; 30 s per page of a range). While no endpoint is connected, calls wait that long.
 * - The watch begins with the whole content and goes on with every change: each (path, revision) once, in the order of
 *   the revisions, a revision never split over two batches, `onBatch` never entered twice at once and never after
 *   `close`. That holds across broken streams, silent, killed and restarted etcds, and changes of the endpoint.
 *   When etcd has compacted what comes next, or the watch is more than 50,000 revisions behind, one batch with
 *   `snapshot: true` brings the difference: the latest state of what changed, and deletions.
 * - A lease's `deadline_ms` counts from when the last answered renewal was sent and is 0.9 of the TTL: the holder stops
 *   believing before etcd stops. It survives restarts of etcd that are shorter.
 *
 * Weak guarantees: what not to rely on
 * - A write whose answer was lost is `ambiguous` and is not repeated: it may have happened, or may still. Read first.
 * - In a `snapshot` batch each path is there once, without intermediate states; deletions carry the snapshot's
 *   revision, not their own, and the order is that of the paths.
 * - After a restore from a backup (another `storeId`) revisions start anew: the watch delivers the whole content again
 *   as one `snapshot` batch, whose revision may be lower. A restore has to rewrite the key `store`, last of all.
 * - `revision` of an idle watch rises only when etcd sends a progress notification
 *   (`--experimental-watch-progress-notify-interval`, 10 min by default). Wait for revisions of keys below the root.
 * - `value` of an event is a view into the received message: decode or copy what is kept.
 * - `onBatch` must not throw: that closes the watch and surfaces as an uncaught exception.
 * - `lost` of a lease resolves neither on `revoke` nor on the store's `close`.
 * - etcd before 3.4.34 and 3.5.16 can drop a deletion on a *running* but slow stream, when a compaction hits exactly its
 *   revision (issue 18089); resuming is protected from it. Compact well behind the newest revision.
 * - Requests are limited to 1.5 MiB and 128 operations (etcd's defaults). No TLS and no authentication yet.
 */
import { Connections, type Counters, type Log } from './connections';
import { StoreError } from './error';
import { count, get, getMany, range } from './kv';
import { type KeptLease, keepLease } from './lease';
import { identify } from './store-id';
import { txn } from './txn';
import type { Lease, Store, Watch } from './types';
import { defaultTuning, openWatch, type WatchTuning } from './watch';

export { type StoreCode, StoreError } from './error';
export { keys, type ParsedKey, parseKey, prefixes } from './keys';
export type * from './types';

export interface StoreOptions {
  /** `http://host:port` of members of one etcd cluster. */
  readonly endpoints: readonly string[];
  /** Told about interruptions and recoveries. */
  readonly log?: Log;
  /** Patience of watches; for tests and for unusual networks. */
  readonly watch?: Partial<WatchTuning>;
}

/** UNAVAILABLE when no endpoint answers within 5 s. */
export const openStore = async ({ endpoints, log = () => {}, watch: tuning }: StoreOptions): Promise<Store> => {
  const connections = new Connections(endpoints);
  const counters: Counters = {};
  const counted = <T>(kind: string, work: () => Promise<T>): Promise<T> => {
    counters[`requests_${kind}`] = (counters[`requests_${kind}`] ?? 0) + 1;
    return work();
  };
  const leases = new Set<KeptLease>();
  const watches = new Set<Watch>();
  let storeId: string;
  try {
    storeId = (await identify(connections)).id;
  } catch (error) {
    connections.close();
    throw StoreError.from(error);
  }
  const reidentify = async () => {
    const identity = await identify(connections);
    if (identity.id !== storeId) log('the store was replaced', { before: storeId, now: identity.id });
    storeId = identity.id;
    return identity;
  };
  const leaseContext = { connections, counters, log, onStop: (lease: KeptLease) => void leases.delete(lease) };
  const watchContext = {
    connections,
    counters,
    log,
    tuning: { ...defaultTuning, ...tuning },
    identify: reidentify,
    onClose: (watch: Watch) => void watches.delete(watch),
  };
  return {
    get storeId() {
      return storeId;
    },
    counters,
    get: (key) => counted('get', () => get(connections, key)),
    getMany: (keys) => counted('get_many', () => getMany(connections, keys)),
    range: (prefix, options) => counted('range', () => range(connections, prefix, options)),
    count: (prefix) => counted('count', () => count(connections, prefix)),
    txn: (compares, operations) => counted('txn', () => txn(connections, compares, operations)),
    lease: (ttl_ms): Promise<Lease> =>
      counted('lease', async () => {
        const lease = await keepLease(leaseContext, ttl_ms);
        leases.add(lease);
        return lease;
      }),
    watch: (onBatch): Promise<Watch> =>
      counted('watch', async () => {
        const watch = await openWatch(watchContext, storeId, onBatch);
        watches.add(watch);
        return watch;
      }),
    async close() {
      for (const lease of leases) lease.stop();
      for (const watch of watches) void watch.close();
      connections.close();
    },
  };
};
