import { type FaultyProxy, startProxy } from '@megrez/store/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

describe('a controller that etcd is out of reach of', () => {
  let cluster: Cluster;
  let proxy: FaultyProxy;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 1 });
    proxy = await startProxy(cluster.etcd.endpoint);
    const { addresses } = await cluster.controller({ etcd: [proxy.endpoint] });
    await cluster.peer(2, { server: addresses[0] as string });
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h2'] });
  });
  afterAll(async () => {
    proxy?.freeze(false);
    await cluster?.close();
    await proxy?.close();
  });

  it('leaves its agents before others stop waiting for them', async () => {
    const order: string[] = [];
    const bouncer = cluster.peers.get('h2');
    void bouncer?.ended.then(() => order.push('session ended'));
    proxy.freeze(true);
    const request = { vpc: 'acme', subnet: 'web', name: 'a', host: 'h1', timeoutMs: 25_000 };
    await cluster.api.call('createEndpoint', request);
    order.push('created without it');
    expect(bouncer?.endpoints.size).toBe(0);
    expect(order).toEqual(['session ended', 'created without it']);
  }, 40_000);
});
