import { openStore, prefixes, type Store } from '@megrez/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../testing/cluster';
import type { Peer } from '../testing/peer';
import { emptyWorld, mustKnow, random, type Told, type World } from '../testing/rules';

const vpc = 'acme';

describe('agents that come and go while everything changes', () => {
  let cluster: Cluster;
  let store: Store;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 5, controllers: 2 });
    store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    await cluster.api.call('createVpc', { name: vpc, cidrs: ['10.0.0.0/16'] });
  });
  afterAll(async () => {
    await store.close();
    await cluster.close();
  });

  const readWorld = async (): Promise<World> => {
    const world = emptyWorld();
    for (const { value, revision } of (await store.range(prefixes.vpcs())).entries) {
      world.vpcs.set(value.vni, { value, revision });
    }
    for (const { value, revision } of (await store.range(prefixes.subnets())).entries) {
      world.subnets.set(`${value.vni}/${value.number}`, { value, revision });
    }
    for (const { value, revision } of (await store.range(prefixes.slots())).entries) {
      world.tables.set(`${value.vni}/${value.subnet}`, { value, revision });
    }
    for (const { value, revision } of (await store.range(prefixes.endpoints())).entries) {
      world.endpoints.set(`${value.vni}/${value.subnetNumber}/${value.ip}`, { value, revision });
    }
    return world;
  };
  const told = ({ vpcs, subnets, tables, endpoints }: Peer): Told =>
    new Map([
      ...[...vpcs].map(([key, { generation }]) => [`vpc ${key}`, generation] as const),
      ...[...subnets].map(([key, { generation }]) => [`subnet ${key}`, generation] as const),
      ...[...tables].map(([key, { generation }]) => [`table ${key}`, generation] as const),
      ...[...endpoints].map(([key, { generation }]) => [`endpoint ${key}`, generation] as const),
    ]);

  it.each([1, 2])(
    'are told what the rules say (seed %i)',
    async (seed) => {
      const pick = random(seed);
      const apis = cluster.controllers.map((controller) => cluster.apiOf(controller));
      /** One after the other on objects of its own; calls are refused when what they stand on is gone. */
      const worker = async (n: number): Promise<void> => {
        const subnet = `s${seed}-${n}`;
        for (let turn = 0; turn < 40; turn += 1) {
          const api = apis[pick(2)] as Cluster['api'];
          const name = `e${pick(6)}`;
          const host = `h${1 + pick(5)}`;
          const kind = pick(20);
          const calls = {
            subnet: () => api.call('createSubnet', { vpc, name: subnet, cidrs: [`10.0.${n}.0/24`] }),
            wish: () => api.call('updateSubnet', { vpc, name: subnet, bouncers: 1 + pick(3) }),
            dividers: () => api.call('updateVpc', { name: vpc, dividers: 1 + pick(3) }),
            gone: () => api.call('deleteSubnet', { vpc, name: subnet, cascade: true }),
            create: () => api.call('createEndpoint', { vpc, subnet, name, host, timeoutMs: 20_000 }),
            move: () => api.call('moveEndpoint', { vpc, subnet, name, host, timeoutMs: 20_000 }),
            remove: () => api.call('deleteEndpoint', { vpc, subnet, name, timeoutMs: 20_000 }),
          };
          const what =
            turn === 0 ? 'subnet' : (['gone', 'subnet', 'wish', 'dividers', 'remove', 'remove'] as const)[kind];
          const call: () => Promise<unknown> = calls[what ?? (kind % 2 === 0 ? 'move' : 'create')];
          await call().catch(() => undefined);
        }
      };
      const run = { over: false };
      const reconnecting = (async () => {
        for (let turn = 0; !run.over; turn += 1) {
          const server = cluster.controllers[turn % 2]?.addresses[0] as string;
          await cluster.peer(1 + pick(5), { server });
        }
      })();
      await Promise.all([1, 2, 3, 4].map((n) => worker(4 * seed + n)));
      run.over = true;
      await reconnecting;
      await expect
        .poll(
          async () => {
            const world = await readWorld();
            const wrong = [...cluster.peers].flatMap(([host, peer]) => {
              const [is, must] = [told(peer), mustKnow(world, host)];
              const names = [...new Set([...is.keys(), ...must.keys()])];
              return names
                .filter((name) => is.get(name) !== must.get(name))
                .map((name) => `${host}: ${name} is ${is.get(name)}, must be ${must.get(name)}`);
            });
            return wrong;
          },
          { timeout: 20_000 },
        )
        .toEqual([]);
      expect((await readWorld()).endpoints.size).toBeGreaterThan(0);
    },
    120_000,
  );
});
