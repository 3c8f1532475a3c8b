import { Subnet, Vpc } from '@megrez/model';
import { afterEach, describe, expect, test } from 'vitest';
import { keys, openStore, type Store, type StoreOptions } from './index';
import { storePath } from './keys';
import { compact, fill, historyOf, record, sleep, until } from './testing/fixtures';
import { type Etcd, type EtcdOptions, type FaultyProxy, startEtcd, startProxy } from './testing/index';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const etcdOf = async (options?: EtcdOptions): Promise<Etcd> => {
  const etcd = await startEtcd(options);
  cleanups.push(etcd.close);
  return etcd;
};
const proxyOf = async (etcd: Etcd): Promise<FaultyProxy> => {
  const proxy = await startProxy(etcd.endpoint);
  cleanups.push(proxy.close);
  return proxy;
};
const quick = { ping_ms: 100, silence_ms: 400 };
const open = async (endpoints: readonly string[], watch: StoreOptions['watch'] = quick): Promise<Store> => {
  const store = await openStore({ endpoints, watch });
  cleanups.push(() => store.close());
  return store;
};

const put = (name: string, size = 0) =>
  ({ kind: 'put', key: keys.vpc(name), value: Vpc.create({ name, cidrs: ['x'.repeat(size)] }) }) as const;
const vpcPath = (name: string): string => keys.vpc(name).path;
const subnets = (vni: number, from: number, to: number, size = 0) =>
  Array.from({ length: to - from }, (_, i) => ({
    key: keys.subnet(vni, from + i),
    value: Subnet.create({ number: from + i, name: 'x'.repeat(size) }),
  }));

describe('an undisturbed watch', () => {
  test('gives the content first, then each change once', async () => {
    const etcd = await etcdOf();
    const store = await open([etcd.endpoint]);
    await store.txn([], [put('a'), put('b')]);
    const { revision } = await store.txn([], [put('a')]);
    const recorder = await record(store);
    expect(recorder.batches).toHaveLength(1);
    expect(recorder.batches[0]).toMatchObject({ snapshot: true, revision });
    expect([...recorder.state.keys()].sort()).toEqual([storePath, vpcPath('a'), vpcPath('b')]);
    const last = await store.txn([], [put('c'), { kind: 'remove', key: keys.vpc('a') }]);
    await until(() => recorder.watch.revision >= last.revision);
    expect(recorder.batches.slice(1)).toEqual([
      {
        revision: last.revision,
        snapshot: false,
        events: [
          { path: vpcPath('c'), revision: last.revision, value: Buffer.from(Vpc.toBinary(put('c').value)) },
          { path: vpcPath('a'), revision: last.revision, value: undefined },
        ],
      },
    ]);
    expect(recorder.problems).toEqual([]);
  });

  test('raises its revision by progress notifications when others write', async () => {
    const etcd = await etcdOf({ flags: ['--experimental-watch-progress-notify-interval=200ms'] });
    const store = await open([etcd.endpoint]);
    const recorder = await record(store);
    const foreign = { path: '/elsewhere', type: Vpc };
    const { revision } = await store.txn([], [{ kind: 'put', key: foreign, value: Vpc.create() }]);
    await until(() => recorder.watch.revision >= revision);
    expect(recorder.batches.at(-1)).toEqual({ revision, snapshot: false, events: [] });
    expect(recorder.watch.silent_ms).toBeLessThan(10_000);
  });

  test('is quiet after close, also when closed inside onBatch', async () => {
    const etcd = await etcdOf();
    const store = await open([etcd.endpoint]);
    const recorder = await record(store);
    let seen = 0;
    const selfClosing = await store.watch(({ snapshot }) => {
      seen++;
      if (!snapshot) void selfClosing.close();
    });
    await store.txn([], [put('a')]);
    await until(() => recorder.batches.length === 2 && seen === 2);
    await recorder.watch.close();
    const third = await record(store);
    for (let i = 0; i < 5; i++) await store.txn([], [put(`b${i}`)]);
    await until(() => third.lines.length === 7);
    expect([recorder.batches.length, seen]).toEqual([2, 2]);
  });

  test('a throw in the first onBatch is the caller’s', async () => {
    const store = await open([(await etcdOf()).endpoint]);
    const watch = store.watch(() => {
      throw new Error('mine');
    });
    await expect(watch).rejects.toThrow('mine');
  });
});

describe('faults', () => {
  test('a stream cut in the middle of a catch-up of 20 MB goes on where it was', async () => {
    const etcd = await etcdOf();
    const proxy = await proxyOf(etcd);
    const [store, direct] = [await open([proxy.endpoint]), await open([etcd.endpoint])];
    const recorder = await record(store);
    proxy.freeze(true);
    proxy.cutAfter(2_000_000);
    proxy.cut();
    for (let i = 0; i < 4_000; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, j) => direct.txn([], [put(`v${i + j}`, 2_000)])));
    }
    const large = Array.from({ length: 16 }, (_, i) => put(`large${i}`, 1_000_000));
    for (const each of large) await direct.txn([], [each]);
    const { revision } = await direct.txn([], [put('last')]);
    const accepted = proxy.accepted;
    proxy.freeze(false);
    proxy.cut();
    await until(() => proxy.accepted > accepted + 6);
    proxy.cutAfter(undefined);
    await until(() => recorder.watch.revision >= revision);
    expect(recorder.lines).toEqual(await historyOf(etcd.endpoint, revision));
    expect(recorder.problems).toEqual([]);
    expect(store.counters.watch_restarts).toBeGreaterThan(2);
    expect(store.counters.watch_snapshots).toBe(1);
  });

  test('kill -9 and restart of etcd, several times', async () => {
    const etcd = await etcdOf();
    const store = await open([etcd.endpoint]);
    const recorder = await record(store);
    let revision = 0;
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 50; j++) ({ revision } = await store.txn([], [put(`k${i}-${j}`), put('same')]));
      await etcd.restart();
      await until(() =>
        store.txn([], [put(`after${i}`)]).then(
          (result) => {
            revision = result.revision;
            return true;
          },
          () => false,
        ),
      );
    }
    await until(() => recorder.watch.revision >= revision);
    expect(recorder.lines).toEqual(await historyOf(etcd.endpoint, revision));
    expect(recorder.problems).toEqual([]);
  });

  test('a silent etcd is noticed and another endpoint is tried; nothing is lost', async () => {
    const etcd = await etcdOf();
    const [black, clear] = [await proxyOf(etcd), await proxyOf(etcd)];
    const [store, direct] = [await open([black.endpoint, clear.endpoint]), await open([etcd.endpoint])];
    const recorder = await record(store);
    await until(() => black.accepted > 1);
    const before = clear.accepted;
    black.freeze(true);
    const { revision } = await direct.txn([], [put('meanwhile')]);
    await until(() => recorder.watch.revision >= revision);
    expect(clear.accepted).toBeGreaterThan(before);
    expect(recorder.lines).toEqual(await historyOf(etcd.endpoint, revision));
    expect(recorder.problems).toEqual([]);
  });

  const stopFor = async (stop_ms: number, tuning: StoreOptions['watch']) => {
    const etcd = await etcdOf();
    const store = await open([etcd.endpoint], tuning);
    const recorder = await record(store);
    await store.txn([], [put('before')]);
    etcd.stop();
    await sleep(stop_ms);
    const silent_ms = recorder.watch.silent_ms;
    // On a busy machine the silence may be noticed a little later.
    await until(() => (store.counters.watch_restarts ?? 0) > 0);
    etcd.cont();
    const { revision } = await store.txn([], [put('after')]);
    await until(() => recorder.watch.revision >= revision);
    return { ...recorder, silent_ms, store, truth: await historyOf(etcd.endpoint, revision) };
  };
  const stops: [number, StoreOptions['watch']][] = [[2_500, quick]];
  // With the patience of production.
  if (process.env.MEGREZ_SLOW === '1') stops.push([30_000, {}]);

  test.each(stops)(
    'SIGSTOP for %i ms is noticed, and loses nothing',
    async (stop_ms, tuning) => {
      const { silent_ms, store, lines, truth, problems } = await stopFor(stop_ms, tuning);
      expect(silent_ms).toBeGreaterThan(stop_ms - 1_500);
      expect(store.counters.watch_restarts).toBeGreaterThan(0);
      expect(lines).toEqual(truth);
      expect(problems).toEqual([]);
    },
    60_000,
  );

  test('a slow network is not a silent one', async () => {
    const etcd = await etcdOf();
    const proxy = await proxyOf(etcd);
    const [store, direct] = [
      await open([proxy.endpoint], { ping_ms: 100, silence_ms: 1_500 }),
      await open([etcd.endpoint]),
    ];
    proxy.delay(400);
    const recorder = await record(store);
    let revision = 0;
    for (let i = 0; i < 100; i++) {
      ({ revision } = await direct.txn([], [put(`d${i}`)]));
      await sleep(20);
    }
    await until(() => recorder.watch.revision >= revision);
    expect(recorder.lines).toEqual(await historyOf(etcd.endpoint, revision));
    expect(store.counters.watch_restarts ?? 0).toBe(0);
  });
});

describe('snapshots', () => {
  test('100,000 keys come whole, in one batch of one revision, while others write', async () => {
    const etcd = await etcdOf();
    const [store, direct] = [await open([etcd.endpoint], {}), await open([etcd.endpoint])];
    await fill(direct, subnets(1, 0, 100_000, 40));
    const writing = new AbortController();
    const writer = (async () => {
      let revision = 0;
      for (let i = 0; !writing.signal.aborted; i++)
        ({ revision } = await direct.txn([], [put('busy'), put(`busy${i % 50}`)]));
      return revision;
    })();
    const recorder = await record(store);
    await sleep(300);
    writing.abort();
    const revision = await writer;
    await until(() => recorder.watch.revision >= revision);
    const first = recorder.batches[0];
    expect(first?.events.filter(({ path }) => path.startsWith('/megrez/v1/subnets/')).length).toBe(100_000);
    const truth = (await historyOf(etcd.endpoint, revision)).filter(
      (line) => Number(line.split(' ')[1]) > (first?.revision ?? 0),
    );
    expect(recorder.lines.slice(first?.events.length)).toEqual(truth);
    expect(recorder.problems).toEqual([]);
  });

  test('compacted past its revision: one batch with the difference only', async () => {
    const etcd = await etcdOf();
    const proxy = await proxyOf(etcd);
    const [store, direct] = [await open([proxy.endpoint]), await open([etcd.endpoint])];
    await fill(direct, subnets(1, 0, 200));
    await direct.txn([], [put('changed'), put('deleted'), put('reborn'), put('same')]);
    const recorder = await record(store);
    proxy.freeze(true);
    await direct.txn([], [put('changed')]);
    await direct.txn([], [{ kind: 'remove', key: keys.vpc('deleted') }]);
    await direct.txn([], [{ kind: 'remove', key: keys.vpc('reborn') }]);
    await direct.txn([], [put('reborn'), put('new')]);
    await direct.txn([], [put('brief')]);
    const { revision } = await direct.txn([], [{ kind: 'remove', key: keys.vpc('brief') }]);
    await compact(etcd.endpoint, revision);
    proxy.freeze(false);
    proxy.cut();
    await until(() => recorder.watch.revision >= revision);
    const batch = recorder.batches.at(-1);
    expect(batch).toMatchObject({ snapshot: true, revision });
    expect(batch?.events.map(({ path, value }) => [path, value === undefined])).toEqual([
      [vpcPath('changed'), false],
      [vpcPath('new'), false],
      [vpcPath('reborn'), false],
      [vpcPath('deleted'), true],
    ]);
    expect(recorder.problems).toEqual([]);
    const later = await direct.txn([], [put('later')]);
    await until(() => recorder.watch.revision >= later.revision);
    expect(recorder.batches.at(-1)).toMatchObject({ snapshot: false, revision: later.revision });
  });

  test('a deletion at exactly the compacted revision is not missed', async () => {
    const etcd = await etcdOf();
    const proxy = await proxyOf(etcd);
    const [store, direct] = [await open([proxy.endpoint]), await open([etcd.endpoint])];
    await direct.txn([], [put('victim')]);
    const recorder = await record(store);
    proxy.freeze(true);
    const { revision } = await direct.txn([], [{ kind: 'remove', key: keys.vpc('victim') }]);
    const last = await direct.txn([], [put('next')]);
    // etcd before 3.4.34 drops this tombstone and still lets a watch begin at its revision.
    await compact(etcd.endpoint, revision);
    proxy.freeze(false);
    proxy.cut();
    await until(() => recorder.watch.revision >= last.revision);
    expect([...recorder.state.keys()].sort()).toEqual([storePath, vpcPath('next')]);
    expect(recorder.problems).toEqual([]);
  });

  test('further behind than the lag limit: the difference, not the history', async () => {
    const etcd = await etcdOf();
    const proxy = await proxyOf(etcd);
    const store = await open([proxy.endpoint], { ...quick, lag_max: 100 });
    const direct = await open([etcd.endpoint]);
    const recorder = await record(store);
    let { revision } = await direct.txn([], [put('first')]);
    await until(() => recorder.watch.revision >= revision);
    proxy.freeze(true);
    for (let i = 0; i < 150; i++) ({ revision } = await direct.txn([], [put('same')]));
    proxy.freeze(false);
    proxy.cut();
    await until(() => recorder.watch.revision >= revision);
    expect(recorder.batches.at(-1)).toMatchObject({ snapshot: true, events: [{ path: vpcPath('same'), revision }] });
    expect(recorder.problems).toEqual([]);
  });

  test('another store behind the same endpoint: the whole content again, and another store id', async () => {
    const [old, restored] = [await etcdOf(), await etcdOf()];
    const store = await open([old.endpoint]);
    for (const name of ['a', 'b', 'c']) await store.txn([], [put(name)]);
    const recorder = await record(store);
    const other = await open([restored.endpoint]);
    const { revision } = await other.txn([], [put('b'), put('d')]);
    const port = Number(new URL(old.endpoint).port);
    await old.kill();
    const impostor = await startProxy(restored.endpoint, port);
    cleanups.push(impostor.close);
    await until(() => recorder.watch.revision === revision);
    expect([...recorder.state.keys()].sort()).toEqual([storePath, vpcPath('b'), vpcPath('d')]);
    expect(store.storeId).toBe(other.storeId);
  });
});
