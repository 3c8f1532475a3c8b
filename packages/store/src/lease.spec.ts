import { RelayRecord } from '@megrez/model';
import { afterEach, expect, test } from 'vitest';
import { keys, openStore, type Store } from './index';
import { sleep, until } from './testing/fixtures';
import { type Etcd, startEtcd, startProxy } from './testing/index';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const start = async (): Promise<Etcd> => {
  const etcd = await startEtcd();
  cleanups.push(etcd.close);
  return etcd;
};
const open = async (...endpoints: string[]): Promise<Store> => {
  const store = await openStore({ endpoints });
  cleanups.push(() => store.close());
  return store;
};

const key = keys.relay('r1');
const put = { kind: 'put', key, value: RelayRecord.create() } as const;
const isLost = (lost: Promise<void>): Promise<boolean> =>
  Promise.race([lost.then(() => true), sleep(0).then(() => false)]);

test('is kept beyond its TTL, and its keys go with it', async () => {
  const store = await open((await start()).endpoint);
  const before_ms = performance.now();
  const lease = await store.lease(1_000);
  expect(lease.deadline_ms).toBeGreaterThan(before_ms);
  expect(lease.deadline_ms).toBeLessThan(performance.now() + 1_000);
  await store.txn([], [{ ...put, lease }]);
  const first_ms = lease.deadline_ms;
  await until(() => lease.deadline_ms > first_ms + 2_000);
  expect(await store.get(key)).toBeDefined();
  await lease.revoke();
  expect(lease.deadline_ms).toBe(0);
  expect(await store.get(key)).toBeUndefined();
});

test('is lost when etcd no longer knows it, and cannot be used again', async () => {
  const etcd = await start();
  const [store, other] = [await open(etcd.endpoint), await open(etcd.endpoint)];
  const lease = await store.lease(2_000);
  const thief = await other.lease(2_000);
  await store.txn([], [{ ...put, lease }]);
  // Another holder of the same id ends it behind this one's back.
  Object.defineProperty(thief, 'id', { value: lease.id });
  await thief.revoke();
  await lease.lost;
  expect(lease.deadline_ms).toBe(0);
  await expect(store.txn([], [{ ...put, lease }])).rejects.toMatchObject({ code: 'LEASE_GONE', ambiguous: false });
});

test('is lost at its deadline, while its keys still exist', async () => {
  const etcd = await start();
  const proxy = await startProxy(etcd.endpoint);
  cleanups.push(proxy.close);
  const [store, other] = [await open(proxy.endpoint), await open(etcd.endpoint)];
  const lease = await store.lease(2_000);
  await store.txn([], [{ ...put, lease }]);
  await until(() => store.counters.lease_renewals !== undefined && store.counters.lease_renewals > 2);
  let stillThere: boolean | undefined;
  const observed = lease.lost.then(async () => {
    stillThere = (await other.get(key)) !== undefined;
  });
  proxy.freeze(true);
  const deadline_ms = lease.deadline_ms;
  await observed;
  expect(performance.now()).toBeGreaterThanOrEqual(deadline_ms - 1);
  expect(stillThere).toBe(true);
  await until(async () => (await other.get(key)) === undefined);
});

test('survives a killed and restarted etcd and broken streams', async () => {
  const etcd = await start();
  const proxy = await startProxy(etcd.endpoint);
  cleanups.push(proxy.close);
  const store = await open(proxy.endpoint);
  const lease = await store.lease(4_000);
  await store.txn([], [{ ...put, lease }]);
  await etcd.restart();
  const restarted_ms = performance.now();
  await until(() => lease.deadline_ms > restarted_ms + 3_000);
  for (let i = 0; i < 3; i++) {
    proxy.cut();
    const cut_ms = performance.now();
    await until(() => lease.deadline_ms > cut_ms + 3_000);
  }
  expect(await isLost(lease.lost)).toBe(false);
  expect(await store.get(key)).toBeDefined();
});

test('moves to an endpoint that answers', async () => {
  const etcd = await start();
  const [black, clear] = [await startProxy(etcd.endpoint), await startProxy(etcd.endpoint)];
  cleanups.push(black.close, clear.close);
  const store = await open(black.endpoint, clear.endpoint);
  const lease = await store.lease(3_000);
  black.freeze(true);
  clear.freeze(false);
  const frozen_ms = performance.now();
  await until(() => lease.deadline_ms > frozen_ms + 4_000);
  expect(await isLost(lease.lost)).toBe(false);
});

test('leases and watches that end leave no connection behind, however soon they end', async () => {
  const etcd = await start();
  const proxy = await startProxy(etcd.endpoint);
  cleanups.push(proxy.close);
  const store = await open(proxy.endpoint);
  const before = proxy.open;
  for (let i = 0; i < 10; i++) {
    const lease = await store.lease(1_000);
    await sleep(i);
    await lease.revoke();
    const watch = await store.watch(() => {});
    await sleep(i);
    await watch.close();
  }
  await until(() => proxy.open === before);
  const lease = await store.lease(1_000);
  await store.watch(() => {});
  await store.close();
  await until(() => proxy.open === 0);
  expect(lease.deadline_ms).toBeGreaterThan(0);
});
