import { JobState, SlotState } from '@megrez/model';
import { keys, openStore, parseKey, type Store } from '@megrez/store';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';
import { type ControllerProcess, spawnController } from '../testing/process';
import { eventually, settled } from '../testing/settled';
import { connectShards, type Shards } from '../testing/shards';

const web = { vpc: 'acme', subnet: 'web' };

const ownersOf = async (shards: Shards): Promise<string[]> =>
  (await shards.call('listShards', web)).shards.filter(({ slots }) => slots.length > 0).map(({ host }) => host);

describe('a leader that is killed', () => {
  /** One whose agents and callers are at another controller. */
  const startLed = async (): Promise<{ cluster: Cluster; leader: ControllerProcess; store: Store; shards: Shards }> => {
    const cluster = await startCluster({ hosts: 0, controllers: 0 });
    const leader = await spawnController({
      listen: ['127.0.0.1:0'],
      etcd: [cluster.etcd.endpoint],
      underlayPrefixes: ['192.168.0.0/16'],
      // So slow that a table takes several batches.
      shards: { move_entries_per_second: 60 },
      log: 'silent',
    });
    const store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    await eventually(async () => expect(await store.get(keys.leader())).toBeDefined());
    await cluster.controller({ shards: { move_entries_per_second: 60 } });
    for (let n = 1; n <= 4; n += 1) await cluster.peer(n);
    await startAcme(cluster.api, { bouncers: 2, cidr: '10.0.0.0/17' });
    for (let n = 0; n < 30; n += 1) {
      await cluster.api.call('createEndpoint', { ...web, name: `e${n}`, host: `h${1 + (n % 4)}` });
    }
    return { cluster, leader, store, shards: connectShards(cluster.controllers[0]?.addresses[0] as string) };
  };

  test.concurrent.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'at its write number %i: the next one goes on, and nothing is lost',
    async (writes) => {
      const { cluster, leader, store, shards } = await startLed();
      try {
        const [drained = ''] = await ownersOf(shards);
        const first = await store.get(keys.leader());
        let seen = 0;
        let armed = false;
        const watch = await store.watch(({ events }) => {
          for (const { path } of events) {
            const { kind } = parseKey(path);
            if (!armed || (kind !== 'slots' && kind !== 'slot-plan' && kind !== 'job')) continue;
            seen += 1;
            // The first is the job itself, which another controller stores.
            if (seen === writes + 1) void leader.kill();
          }
        });
        armed = true;
        let made = 0;
        let moving = true;
        const creating = (async () => {
          for (; moving; made += 1) {
            await cluster.api.call('createEndpoint', { ...web, name: `n${made}`, host: 'h1' });
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        })();
        const told = await shards.run('drain', { host: drained });
        moving = false;
        await creating;
        expect(seen).toBeGreaterThan(writes);
        expect((await store.get(keys.leader()))?.value.incarnation).not.toBe(first?.value.incarnation);
        expect(told.at(-1)?.job?.state).toBe(JobState.DONE);
        expect((await settled(cluster, store)).get(drained)).toBeUndefined();
        await watch.close();
      } finally {
        shards.close();
        await store.close();
        await leader.kill();
        await cluster.close();
      }
    },
    90_000,
  );
});

describe('the leader', () => {
  let cluster: Cluster;
  let store: Store;
  let shards: Shards;
  let other: Shards;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 0, controllers: 0 });
    for (let n = 0; n < 2; n += 1) await cluster.controller({ shards: { dead_ms: 500, unheard_ms: 1_000 } });
    const addresses = cluster.controllers.map((controller) => controller.addresses[0] as string);
    for (let n = 1; n <= 5; n += 1) await cluster.peer(n, { server: addresses[n % 2] as string });
    store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    [shards, other] = addresses.map(connectShards) as [Shards, Shards];
    await startAcme(cluster.api, { bouncers: 2 });
    for (let n = 0; n < 20; n += 1) {
      await cluster.api.call('createEndpoint', { ...web, name: `e${n}`, host: `h${1 + (n % 5)}` });
    }
  });
  afterAll(async () => {
    shards.close();
    other.close();
    await store.close();
    await cluster.close();
  });

  const returns = async (host: string): Promise<void> => {
    await cluster.peer(Number(host.slice(1)));
  };

  it('is one of two controllers, and does what either is asked for', async () => {
    const [drained = ''] = await ownersOf(shards);
    for (const [asked, watched] of [
      [shards, other],
      [other, shards],
    ] as const) {
      const job = await asked.start('drain', { host: drained });
      const told = await watched.run('watchProgress', { job: job.id });
      expect(told.at(-1)?.job).toMatchObject({ id: job.id, state: JobState.DONE });
      expect((await watched.run('undrain', { host: drained })).at(-1)?.job?.state).toBe(JobState.DONE);
    }
    await settled(cluster, store);
  });

  it('gives the slots of a dead host to others', async () => {
    const [dead = ''] = await ownersOf(shards);
    cluster.peers.get(dead)?.close();
    await expect.poll(() => ownersOf(shards), { timeout: 15_000 }).not.toContain(dead);
    await shards.run('watchProgress');
    expect(await ownersOf(shards)).toHaveLength(2);
    // Its endpoints stay, and when it comes back it is told what it is now.
    await returns(dead);
    await settled(cluster, store);
    expect((await cluster.api.call('getHost', { name: dead })).ineligible).toBe(false);
  }, 30_000);

  it('gives up a host that dies while it loads', async () => {
    const [drained = ''] = await ownersOf(shards);
    for (const peer of cluster.peers.values()) peer.hold(true);
    const job = await shards.start('drain', { host: drained });
    let loading = '';
    await expect
      .poll(
        async () => {
          loading =
            (await shards.call('listShards', web)).shards.find(({ state }) => state === SlotState.LOADING)?.host ?? '';
          return loading;
        },
        { timeout: 20_000 },
      )
      .not.toBe('');
    cluster.peers.get(loading)?.close();
    for (const peer of cluster.peers.values()) peer.hold(false);
    expect((await shards.ended(job.id)).state).toBe(JobState.DONE);
    expect(await ownersOf(shards)).not.toContain(loading);
    await returns(loading);
    await shards.run('undrain', { host: drained });
    await settled(cluster, store);
  }, 30_000);

  it('does not believe that two of five hosts die at once, and says so', async () => {
    const dead = await ownersOf(shards);
    const before = await store.get(keys.slots(1, 1));
    for (const host of dead) cluster.peers.get(host)?.close();
    const said = async (): Promise<string[]> => {
      const told = [...(await shards.run('watchProgress')), ...(await other.run('watchProgress'))];
      return told.flatMap(({ waiting }) => waiting);
    };
    await expect.poll(said, { timeout: 15_000 }).toContainEqual(expect.stringMatching(/h\d, h\d vanished together/));
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect((await store.get(keys.slots(1, 1)))?.revision).toBe(before?.revision);
    // Whom an operator gives up is not waited for.
    await shards.run('drain', { host: dead[0] });
    await expect.poll(() => ownersOf(shards), { timeout: 15_000 }).not.toContain(dead[1]);
    await shards.run('watchProgress');
    for (const host of dead) await returns(host);
    await shards.run('undrain', { host: dead[0] });
    await settled(cluster, store);
  }, 60_000);

  it('goes on with a deletion that its controller left', async () => {
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'gone', cidrs: ['10.0.9.0/24'] });
    await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'gone', name: 'x', host: 'h1' });
    const key = keys.subnet(1, 2);
    const subnet = await store.get(key);
    if (subnet === undefined) throw new Error('no subnet');
    const meta = { generation: 0, requestId: '', createdAtMs: 0, ...subnet.value.meta, deleting: true };
    await store.txn([], [{ kind: 'put', key, value: { ...subnet.value, meta } }]);
    await expect.poll(() => store.get(key), { timeout: 25_000, interval: 250 }).toBeUndefined();
    expect((await cluster.api.refused('getSubnet', { vpc: 'acme', name: 'gone' })).code).toBe(5);
  }, 40_000);
});

test('with no agent at all nothing is planned, and a rebalance says why', async () => {
  const cluster = await startCluster({ hosts: 0 });
  const shards = connectShards(cluster.controllers[0]?.addresses[0] as string);
  try {
    expect(await shards.refused('rebalance')).toMatchObject({ code: 9, reason: 'NO_ELIGIBLE_HOST' });
    expect((await shards.call('listShards')).shards).toEqual([]);
    expect((await shards.call('listJobs')).jobs).toEqual([]);
  } finally {
    shards.close();
    await cluster.close();
  }
});
