// What a tenant's own programs hear of a destination that nobody has: an error at once, whatever they speak.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, type TestCluster, up } from './harness/cluster';

let cluster: TestCluster;
let a: Endpoint;

beforeAll(async () => {
  cluster = await up({ hosts: 2 });
  await createVpc(cluster, 'far', '10.0.0.0/16', 1);
  await createSubnet(cluster, 'far', 'web', '10.0.1.0/24', ['h2']);
  await createSubnet(cluster, 'far', 'db', '10.0.2.0/24', ['h2']);
  a = await createEndpoint(cluster, 'far', 'web', 'a', 'h1');
  await createEndpoint(cluster, 'far', 'db', 'b', 'h2');
});

afterAll(() => cluster?.down());

describe.for([
  ['an address of another subnet that no endpoint has', '10.0.2.200'],
  ['an address of the VPC in no subnet', '10.0.77.7'],
  ['an address outside the VPC', '198.51.100.7'],
] as const)('%s', ([, ip]) => {
  test('a TCP connection fails before its second attempt could time out', async () => {
    const connect = ['timeout', '10', 'bash', '-c', `echo >/dev/tcp/${ip}/80`];
    const { code, stderr } = await cluster.run({ endpoint: a }, connect);
    expect(stderr).toMatch(/No route to host/);
    expect(code).toBe(1);
  });

  test.for([0, 56, 1300, 1358])(
    'ping of %i bytes, with all of the MTU at most, is told by the gateway',
    async (size) => {
      const ping = ['ping', '-n', '-c', '1', '-W', '2', '-s', String(size), ip];
      // Errors are rationed: one may fall to a test before this one.
      await expect
        .poll(async () => (await cluster.run({ endpoint: a }, ping)).stdout, { timeout: 8000 })
        .toMatch(/From 10\.0\.1\.1 icmp_seq=1 Destination Host Unreachable/);
    },
  );
});
