// Behaviours 36 and 37: slots move under traffic that asks all the time, and every datagram is accounted for.
import { type Endpoint, JobState, type Shard, type ShardProgress } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEndpoint, createVpc, quiet, shortLeaseArguments, type TestCluster, up } from './harness/cluster';
import { type FlowOptions, flows, whole } from './harness/flows';

let cluster: TestCluster;
const endpoints: Endpoint[] = [];

beforeAll(async () => {
  // Paths are checked with a bouncer every second: there are always questions under way.
  cluster = await up({ hosts: 5, controllers: 2, controllerArguments: [...shortLeaseArguments, '--check-ms', '1000'] });
  await createVpc(cluster, 'acme');
  for (const [i, name] of ['web', 'db'].entries()) {
    const cidrs = [`10.0.${i + 1}.0/24`];
    await cluster.api.createSubnet({ vpc: 'acme', name, cidrs, bouncers: 2, bouncerHosts: [], requestId: '' });
    for (const host of cluster.hosts.keys()) endpoints.push(await createEndpoint(cluster, 'acme', name, host, host));
  }
  await quiet(cluster, ...endpoints);
});

afterAll(() => cluster?.down());

type Method = 'drain' | 'undrain' | 'rebalance';

const run = async (method: Method, host = ''): Promise<ShardProgress> => {
  const call =
    method === 'rebalance'
      ? cluster.client.shard.rebalance({ vpc: '', subnet: '' })
      : cluster.client.shard[method]({ host });
  let last: ShardProgress | undefined;
  const ended = (async () => {
    for await (const progress of call.responses) last = progress;
  })();
  // Who holds it up is in the last progress.
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 30_000))]);
  expect(last).toMatchObject({ waiting: [], job: { state: JobState.DONE } });
  return last as ShardProgress;
};

const settled = async (): Promise<void> => {
  for await (const _ of cluster.client.shard.watchProgress({ vpc: '', subnet: '', job: 0 }).responses);
};

const list = async (): Promise<readonly Shard[]> =>
  (await cluster.client.shard.listShards({ vpc: '', subnet: '', host: '', withoutEntries: true }).response).shards;

/** Every table is dealt +-1, and what a host holds it serves. */
const balanced = async (): Promise<void> => {
  const tables = Map.groupBy(
    (await list()).filter(({ slots }) => slots.length > 0),
    ({ vpc, subnet }) => `${vpc}/${subnet}`,
  );
  for (const parts of tables.values()) {
    const primaries = parts.map(({ primarySlots }) => primarySlots);
    expect(Math.max(...primaries) - Math.min(...primaries)).toBeLessThanOrEqual(1);
    expect(parts.every(({ loadingSlots, leavingSlots }) => loadingSlots + leavingSlots === 0)).toBe(true);
  }
};

/** Datagrams between all endpoints, in and between the subnets, while something happens; none is lost. */
const unharmed = async (what: () => Promise<void>, options: FlowOptions = { rate: 200, echo: true }): Promise<void> => {
  const traffic = flows(cluster);
  // Nobody sends before all can receive.
  const talkers = await Promise.all(endpoints.map((endpoint) => traffic.talker(endpoint)));
  for (const talker of talkers) {
    talker.toAny(
      endpoints.filter((other) => other !== talker.endpoint),
      options,
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  await what();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const account = await traffic.finish();
  expect(account.gaps).toEqual([]);
  expect(account).toMatchObject(whole);
  expect(account.echoes).toMatchObject({ lost: 0, duplicated: 0 });
  expect(account.sent).toBeGreaterThan(1_000);
};

test('drain and undrain every host', async () => {
  await unharmed(async () => {
    for (const host of cluster.hosts.keys()) {
      await run('drain', host);
      expect((await list()).some((shard) => shard.host === host && shard.slots.length > 0)).toBe(false);
      await run('undrain', host);
      await balanced();
    }
  });
});

test('more and fewer bouncers and dividers', async () => {
  await unharmed(async () => {
    for (const count of [5, 1, 3, 2]) {
      for (const name of ['web', 'db']) {
        await cluster.api.updateSubnet({ vpc: 'acme', name, bouncers: count, bouncerHosts: [] });
      }
      await cluster.api.updateVpc({ name: 'acme', dividers: count });
      await settled();
      await balanced();
      const holders = (await list()).filter(({ slots }) => slots.length > 0);
      expect(holders).toHaveLength(3 * count);
    }
  });
});

test('slots that were moved by hand are dealt again', async () => {
  await unharmed(async () => {
    const holders = (await list()).filter(({ subnet, slots }) => subnet === 'web' && slots.length > 0);
    const [from, other] = holders.map(({ host }) => host);
    const to = [...cluster.hosts.keys()].find((host) => host !== from && host !== other) ?? '';
    const slots = Array.from({ length: 64 }, (_, i) => 4 * i);
    for await (const _ of cluster.client.shard.moveSlots({ vpc: 'acme', subnet: 'web', slots, from: '', to })
      .responses) {
    }
    expect((await list()).find((shard) => shard.subnet === 'web' && shard.host === to)?.slots).toEqual(slots);
    await run('rebalance');
    await balanced();
  });
});

/** Of what is asked of whichever controller is left. */
const persistently = async <T>(ask: () => Promise<T>): Promise<T> => {
  const end = performance.now() + 30_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
};

test('controllers are killed while slots move', async () => {
  await unharmed(async () => {
    for (const [i, host] of [...cluster.hosts.keys()].entries()) {
      const victim = `controller-${1 + (i % 2)}`;
      const call = cluster.client.shard.drain({ host });
      const job = await new Promise<number>((resolve, reject) => {
        (async () => {
          for await (const progress of call.responses) {
            resolve(progress.job?.id ?? 0);
            if (progress.done > 0) break;
          }
        })().catch(reject);
      });
      await new Promise((resolve) => setTimeout(resolve, 40 * i));
      await cluster.signal('kill', victim);
      await cluster.signal('restart', victim);
      const state = async () =>
        persistently(async () => {
          const { jobs } = await cluster.client.shard.listJobs({ active: false }).response;
          return jobs.find(({ id }) => id === job)?.state;
        });
      await expect.poll(state, { timeout: 30_000, interval: 50 }).toBe(JobState.DONE);
      expect((await list()).some((shard) => shard.host === host && shard.slots.length > 0)).toBe(false);
      await persistently(() => run('undrain', host));
    }
  });
});
