/** Random writers and random faults: what a watch delivers must be etcd's own history, whatever the seed. */
import { Vpc } from '@megrez/model';
import { expect, onTestFinished, test } from 'vitest';
import { keys, type Operation, openStore, prefixes, type Store } from './index';
import { compact, historyOf, record, sleep, until } from './testing/fixtures';
import { type Etcd, type FaultyProxy, startEtcd, startProxy } from './testing/index';

const tuning = { ping_ms: 100, silence_ms: 400 };
const faults = 20;
/** MEGREZ_SEEDS=7,8,9 tries others. */
const seeds = process.env.MEGREZ_SEEDS?.split(',').map(Number) ?? [1, 2];

/** A small generator of repeatable numbers in [0, 1) (mulberry32). */
const randomOf = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Writes 1 to 8 of 40 paths per txn, deletions among them, until told to stop; lost answers do not matter. */
const write = async (store: Store, random: () => number, going: () => boolean): Promise<void> => {
  while (going()) {
    const paths = new Set(Array.from({ length: 1 + Math.floor(random() * 8) }, () => `p${Math.floor(random() * 40)}`));
    const operations = [...paths].map((name): Operation => {
      const key = keys.vpc(name);
      if (random() < 0.3) return { kind: 'remove', key };
      return { kind: 'put', key, value: Vpc.create({ name, cidrs: ['x'.repeat(Math.floor(random() * 2_000))] }) };
    });
    await store.txn([], operations).catch(() => {});
    await sleep(random() * 4);
  }
};

interface World {
  readonly etcd: Etcd;
  readonly proxies: readonly FaultyProxy[];
  readonly random: () => number;
}

const networkFaults = async ({ proxies, random }: World): Promise<void> => {
  const proxy = proxies[Math.floor(random() * proxies.length)] as FaultyProxy;
  const kind = Math.floor(random() * 4);
  if (kind === 0) proxy.cut();
  if (kind === 1) {
    proxy.cutAfter(Math.floor(random() * 60_000));
    proxy.cut();
    await sleep(random() * 400);
    proxy.cutAfter(undefined);
  }
  if (kind === 2) {
    proxy.delay(random() * 100);
    await sleep(random() * 200);
    proxy.delay(0);
  }
  if (kind === 3) {
    proxy.freeze(true);
    await sleep(random() * 900);
    proxy.freeze(false);
  }
};

const etcdFaults = async ({ etcd, random }: World): Promise<void> => {
  if (random() < 0.5) await etcd.restart();
  else {
    etcd.stop();
    await sleep(random() * 900);
    etcd.cont();
  }
};

const prepare = async (seed: number) => {
  const random = randomOf(seed);
  const etcd = await startEtcd();
  const proxies = [await startProxy(etcd.endpoint), await startProxy(etcd.endpoint)];
  const store = await openStore({ endpoints: proxies.map(({ endpoint }) => endpoint), watch: tuning });
  const direct = await openStore({ endpoints: [etcd.endpoint], watch: tuning });
  onTestFinished(async () => {
    await store.close();
    await direct.close();
    for (const proxy of proxies) await proxy.close();
    await etcd.close();
  });
  return { world: { etcd, proxies, random }, store, direct };
};

const finalRevision = async (store: Store): Promise<number> => {
  let revision = 0;
  await until(() =>
    store.txn([], [{ kind: 'put', key: keys.vpc('final'), value: Vpc.create() }]).then(
      (result) => {
        revision = result.revision;
        return true;
      },
      () => false,
    ),
  );
  return revision;
};

test.each(seeds)(
  'seed %i: broken streams, silence, kill -9: exactly the history',
  async (seed) => {
    const { world, store, direct } = await prepare(seed);
    const recorder = await record(store);
    let going = true;
    const writers = Array.from({ length: 3 }, (_, i) => write(direct, randomOf(seed * 100 + i), () => going));
    for (let i = 0; i < faults; i++) {
      await (world.random() < 0.3 ? etcdFaults(world) : networkFaults(world));
      await sleep(world.random() * 200);
    }
    going = false;
    await Promise.all(writers);
    const revision = await finalRevision(direct);
    await until(() => recorder.watch.revision >= revision);
    expect(recorder.lines).toEqual(await historyOf(world.etcd.endpoint, revision));
    expect(recorder.problems).toEqual([]);
    expect(recorder.lines.length).toBeGreaterThan(500);
    expect(store.counters.watch_restarts).toBeGreaterThan(1);
    expect(store.counters.watch_snapshots).toBe(1);
  },
  60_000,
);

test.each(seeds.slice(0, 1))(
  'seed %i: compactions, too: a part of the history, and the right end',
  async (seed) => {
    const { world, store, direct } = await prepare(seed);
    const [recorder, witness] = [await record(store), await record(direct)];
    let going = true;
    const writers = Array.from({ length: 3 }, (_, i) => write(direct, randomOf(seed * 100 + i), () => going));
    for (let i = 0; i < faults; i++) {
      for (const proxy of world.proxies) proxy.freeze(true);
      await sleep(world.random() * 150);
      // Now and then exactly the newest revision, a deletion perhaps.
      const behind = Math.floor(world.random() * 3);
      await compact(world.etcd.endpoint, witness.watch.revision - behind).catch(() => {});
      for (const proxy of world.proxies) {
        proxy.freeze(false);
        if (world.random() < 0.8) proxy.cut();
      }
      await networkFaults(world);
    }
    going = false;
    await Promise.all(writers);
    const revision = await finalRevision(direct);
    await until(() => recorder.watch.revision >= revision && witness.watch.revision >= revision);
    const { entries } = await direct.range(prefixes.vpcs());
    const truth = new Map(entries.map(({ path, revision: written }) => [path, written]));
    for (const path of recorder.state.keys()) if (!path.includes('/vpcs/')) recorder.state.delete(path);
    expect([...recorder.state].sort()).toEqual([...truth].sort());
    expect(new Set(recorder.lines).size).toBe(recorder.lines.length);
    // Deletions of a snapshot carry its revision; all else happened just so.
    const happened = new Set(witness.lines);
    const inDeltas = recorder.batches.filter(({ snapshot }) => !snapshot).flatMap(({ events }) => events);
    const line = (event: (typeof inDeltas)[number]) =>
      `${event.path} ${event.revision}${event.value === undefined ? ' deleted' : ''}`;
    expect(inDeltas.map(line).filter((each) => !happened.has(each))).toEqual([]);
    expect([...recorder.problems, ...witness.problems]).toEqual([]);
    expect(store.counters.watch_snapshots).toBeGreaterThan(2);
    expect(witness.batches.filter(({ snapshot }) => snapshot).length).toBe(1);
  },
  60_000,
);
