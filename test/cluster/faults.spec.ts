// Behaviour 39 and its neighbours: agents, controllers and etcd die and come back under traffic that is counted.
import type { Endpoint } from '@megrez/model';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, quiet, type TestCluster, up } from './harness/cluster';
import { type Footprint, footprints, metric, programIds } from './harness/observe';
import { allOf, datagrams, ping, pinging, reaches, stream } from './harness/traffic';

let cluster: TestCluster;
let a: Endpoint;
let b: Endpoint;

beforeAll(async () => {
  cluster = await up({ hosts: 3, controllers: 2 });
  await createVpc(cluster, 'acme');
  await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3']);
  a = await createEndpoint(cluster, 'acme', 'web', 'a', 'h1');
  b = await createEndpoint(cluster, 'acme', 'web', 'b', 'h2');
  await quiet(cluster, a, b);
});

afterAll(() => cluster?.down());

// A test that failed half-way must not fail those after it.
afterEach(async () => {
  for (const name of ['etcd', 'controller-1', 'controller-2', ...cluster.hosts.keys()]) {
    if (!cluster.isAlive(name)) {
      await cluster.signal('restart', name);
    }
  }
  for (const host of cluster.hosts.keys()) {
    await attached(host);
  }
});

const isAttached = async (host: string) => {
  try {
    return (await cluster.api.getHost({ name: host }).response).status?.attached ?? false;
  } catch {
    return false;
  }
};

const attached = (host: string, value = true) =>
  expect.poll(() => isAttached(host), { timeout: 20_000, interval: 50 }).toBe(value);

/** The restarted agent has its rows, as it says itself. */
const settled = (host: string) =>
  expect
    .poll(() => metric(cluster, host, 'megrez_session_attached').catch(() => 0), { timeout: 20_000, interval: 50 })
    .toBe(1);

/** Runs traffic of every kind, both ways, while something happens, and finds all of it whole. */
async function unharmed(what: () => Promise<void>): Promise<void> {
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
  const flows = [
    await datagrams(cluster, a, b, { rate: 1500 }),
    await datagrams(cluster, b, a, { rate: 1500 }),
  ] as const;
  const streams = [await stream(cluster, a, b, { rate: 2e6 }), await stream(cluster, b, a, { rate: 2e6 })] as const;
  const pings = await pinging(cluster, { endpoint: a }, b.ip, 20);
  const started = performance.now();
  await what();
  const took_s = (performance.now() - started) / 1000;
  for (const flow of flows) {
    const { sent, refused, lost, duplicated, misdelivered } = await flow.finish();
    expect({ refused, lost, duplicated, misdelivered }).toEqual({
      refused: 0,
      lost: 0,
      duplicated: 0,
      misdelivered: 0,
    });
    // There was traffic all the time.
    expect(sent).toBeGreaterThan(took_s * 1000);
  }
  for (const flow of streams) {
    const { sent, received, bad, broken } = await flow.finish();
    expect({ received, bad, broken }).toEqual({ received: sent, bad: 0, broken: false });
    expect(sent).toBeGreaterThan(took_s * 5e5);
  }
  const pinged = await pings.finish();
  expect(pinged).toEqual(allOf(pinged.sent));
  expect(pinged.sent).toBeGreaterThan(took_s * 30);
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
}

describe('39: agents', () => {
  let before: Readonly<Record<string, Footprint>>;
  beforeEach(async () => {
    before = await footprints(cluster);
  });

  for (const host of ['h1', 'h2', 'h3']) {
    test(`${host}'s agent is killed and started again: nothing lost, nothing deleted, programs replaced`, async () => {
      const programs = await programIds(cluster, host);
      await unharmed(async () => {
        await cluster.signal('kill', host);
        expect(await footprints(cluster)).toEqual(before);
        await cluster.signal('restart', host);
        await settled(host);
        await attached(host);
      });
      expect(await footprints(cluster)).toEqual(before);
      const now = await programIds(cluster, host);
      expect(now).toHaveLength(programs.length);
      expect(
        now.filter((id) => programs.includes(id)),
        'every program is a new one',
      ).toEqual([]);
    });
  }

  test('a bouncer whose agent is dead still answers what it holds', async () => {
    await cluster.signal('kill', 'h3');
    await attached('h3', false);
    await cluster.must({ endpoint: a }, ['ip', 'neigh', 'flush', 'dev', 'eth0']);
    expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
    await cluster.signal('restart', 'h3');
    await settled('h3');
    await attached('h3');
    expect(await footprints(cluster)).toEqual(before);
  });

  test('an agent that starts without any controller keeps the datapath', async () => {
    await unharmed(async () => {
      await cluster.signal('kill', 'h1');
      await cluster.signal('kill', 'controller-1');
      await cluster.signal('kill', 'controller-2');
      await cluster.signal('restart', 'h1');
      // It serves metrics, so it has started; it has no session.
      await expect
        .poll(() => metric(cluster, 'h1', 'megrez_session_attached').catch(() => -1), { timeout: 20_000 })
        .toBe(0);
      expect(await footprints(cluster)).toEqual(before);
      await cluster.signal('restart', 'controller-1');
      await cluster.signal('restart', 'controller-2');
      for (const host of cluster.hosts.keys()) {
        await settled(host);
        await attached(host);
      }
    });
    expect(await footprints(cluster)).toEqual(before);
  });

  test('all agents at once', async () => {
    await unharmed(async () => {
      const hosts = [...cluster.hosts.keys()];
      await Promise.all(hosts.map((host) => cluster.signal('kill', host)));
      await Promise.all(hosts.map((host) => cluster.signal('restart', host)));
      for (const host of hosts) {
        await settled(host);
        await attached(host);
      }
    });
    expect(await footprints(cluster)).toEqual(before);
  });
});

/** Creates an endpoint, as often as needed, and proves that it works; then it goes again. */
async function createsWork(name: string): Promise<void> {
  let made: Endpoint | undefined;
  await expect
    .poll(
      async () => {
        try {
          made = await createEndpoint(cluster, 'acme', 'web', name, 'h2', { requestId: name });
          return 'made';
        } catch (error) {
          return String(error);
        }
      },
      { timeout: 30_000, interval: 100 },
    )
    .toBe('made');
  const { ip } = made as unknown as Endpoint;
  expect(await reaches(cluster, a, ip)).toBe(true);
  await cluster.api.deleteEndpoint({ vpc: 'acme', subnet: 'web', name, timeoutMs: 0 }).response;
}

describe('controllers and etcd', () => {
  test('a controller is killed and started again: traffic untouched, creates work again', async () => {
    const before = await footprints(cluster);
    await unharmed(async () => {
      for (const name of ['controller-1', 'controller-2']) {
        await cluster.signal('restart', name);
        await createsWork(`after-${name}`);
      }
      for (const host of cluster.hosts.keys()) {
        await attached(host);
      }
    });
    await expect.poll(() => footprints(cluster), { timeout: 10_000 }).toEqual(before);
  });

  test('etcd is killed, stays away, and comes back: traffic untouched, creates work again', async () => {
    const before = await footprints(cluster);
    await unharmed(async () => {
      await cluster.signal('kill', 'etcd');
      const refused = createEndpoint(cluster, 'acme', 'web', 'meanwhile', 'h2', { timeoutMs: 1000 });
      await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/) });
      expect(await footprints(cluster)).toEqual(before);
      await cluster.signal('restart', 'etcd');
      await createsWork('after-etcd');
    });
    await expect.poll(() => footprints(cluster), { timeout: 10_000 }).toEqual(before);
    for (const host of cluster.hosts.keys()) {
      await attached(host);
    }
  });
});
