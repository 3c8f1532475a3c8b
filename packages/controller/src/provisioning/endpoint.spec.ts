import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

describe('endpoints', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
    await startAcme(cluster, { bouncers: 1, bouncerHosts: ['h3'] });
  });
  afterAll(() => cluster.close());

  const web = { vpc: 'acme', subnet: 'web' };

  it('are created at their host and the holder of their slot, and nobody else hears of them', async () => {
    const before = [...cluster.peers.values()].map(({ batches }) => batches.length);
    const endpoint = await cluster.api.call('createEndpoint', { ...web, name: 'a', host: 'h1', ip: '10.0.1.7' });
    expect(endpoint).toMatchObject({ ip: '10.0.1.7', mac: '02:4d:0a:00:01:07', hostAddress: '192.168.0.1' });
    const after = [...cluster.peers.values()].map(({ batches }) => batches.length);
    expect(after.map((count, i) => count - (before[i] ?? 0))).toEqual([1, 0, 1]);
    const { vni, subnetNumber } = endpoint;
    for (const host of ['h1', 'h3']) {
      const kept = cluster.peers.get(host)?.endpoints.get(`${vni}/${subnetNumber}/10.0.1.7`);
      expect(kept?.generation).toBe(endpoint.meta?.generation);
    }
  });
});
