import { Protocol, type Service, ServiceBackend } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

const shop = { vpc: 'acme', subnet: 'web', name: 'shop' };

describe('backends of a dead host', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 0, controllers: 0 });
    await cluster.controller({ shards: { dead_ms: 500, unheard_ms: 1_000 } });
    for (let n = 1; n <= 4; n += 1) await cluster.peer(n);
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h1'] });
    for (const [name, host] of Object.entries({ a: 'h2', b: 'h3', c: 'h2' })) {
      await cluster.api.call('createEndpoint', { ...shop, name, host });
    }
    const backends = ['a', 'b'].map((endpoint) => ServiceBackend.create({ endpoint }));
    const ports = [{ listen: 80, target: 0, protocol: Protocol.TCP }];
    await cluster.api.call('createService', { ...shop, ports, backends });
    await cluster.api.call('createService', { ...shop, name: 'other', ports, backends: backends.slice(1) });
  });
  afterAll(() => cluster.close());

  const known = (): Service | undefined =>
    [...(cluster.peers.get('h1')?.services.values() ?? [])].find(({ value }) => value.name === 'shop')?.value;
  const down = () => known()?.backends.map((backend) => backend.down);
  const used = () => [...new Set(known()?.buckets)].sort();

  it('get no new flows until it is back', async () => {
    expect([down(), used()]).toEqual([
      [false, false],
      [0, 1],
    ]);
    const before = known()?.buckets;
    const other = await cluster.api.call('getService', { ...shop, name: 'other' });
    cluster.peers.get('h2')?.close();
    await expect.poll(down, { timeout: 10_000 }).toEqual([true, false]);
    expect(used()).toEqual([1]);
    expect((await cluster.api.call('getService', shop)).backends).toMatchObject([{ down: true }, { down: false }]);
    // A change of the service meanwhile does not wake it.
    const ports = [{ listen: 81, target: 0, protocol: Protocol.TCP }];
    const backends = ['b', 'a', 'c'].map((endpoint) => ServiceBackend.create({ endpoint }));
    await cluster.api.call('updateService', { ...shop, ports, backends });
    expect(known()?.backends).toMatchObject([{ down: false }, { down: true }, { endpoint: 'c' }]);
    await cluster.peer(2);
    await expect.poll(down, { timeout: 10_000 }).toEqual([false, false, false]);
    expect(used()).toEqual([0, 1, 2]);
    expect(before?.length).toBe(known()?.buckets.length);
    expect(await cluster.api.call('getService', { ...shop, name: 'other' })).toEqual(other);
  }, 40_000);

  it('come back where they are moved', async () => {
    const ports = [{ listen: 80, target: 0, protocol: Protocol.TCP }];
    await cluster.api.call('updateService', { ...shop, ports, backends: [ServiceBackend.create({ endpoint: 'a' })] });
    cluster.peers.get('h2')?.close();
    await expect.poll(down, { timeout: 10_000 }).toEqual([true]);
    expect(known()?.buckets).toHaveLength(0);
    // Another leader finds what this one left.
    await cluster.controllers[0]?.close();
    await cluster.controller({ shards: { dead_ms: 600_000, unheard_ms: 600_000 } });
    const server = cluster.controllers[1]?.addresses[0] as string;
    for (const n of [1, 3, 4]) await cluster.peer(n, { server });
    const api = cluster.apiOf(cluster.controllers[1] as (typeof cluster.controllers)[number]);
    expect((await api.call('getService', shop)).backends).toMatchObject([{ down: true }]);
    await api.call('moveEndpoint', { ...shop, name: 'a', host: 'h4', force: true });
    await expect.poll(down, { timeout: 20_000 }).toEqual([false]);
    expect(used()).toEqual([0]);
  }, 60_000);
});
