import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../testing/cluster';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ hosts: 1 });
  await cluster.api.call('createVpc', { name: 'acme', cidrs: ['10.0.0.0/16'] });
});
afterAll(() => cluster.close());

// Of five addresses three are taken; the service has one of the others.
it.each([1, 2, 3, 4, 5, 6])('what a service had a moment ago is not given to an endpoint (%i)', async (n) => {
  const web = { vpc: 'acme', subnet: `web-${n}` };
  await cluster.api.call('createSubnet', { vpc: 'acme', name: web.subnet, cidrs: [`10.0.${n}.0/29`] });
  for (const end of [2, 3, 4]) {
    await cluster.api.call('createEndpoint', { ...web, name: `e${end}`, host: 'h1', ip: `10.0.${n}.${end}` });
  }
  const ports = [{ listen: 80, target: 0, protocol: 0 }];
  const { ip } = await cluster.api.call('createService', { ...web, name: 'shop', ports });
  await cluster.api.call('deleteService', { ...web, name: 'shop' });
  const next = await cluster.api.call('createEndpoint', { ...web, name: 'next', host: 'h1' });
  expect(next.ip).not.toBe(ip);
});
