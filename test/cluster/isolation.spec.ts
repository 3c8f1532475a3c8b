// Two clusters on one machine, with the same names and addresses: neither sees the other, nor feels its end.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, type TestCluster, up } from './harness/cluster';
import { countedSince, counters, dump, footprints } from './harness/observe';
import { allOf, datagrams, ping, stream } from './harness/traffic';

interface Side {
  readonly cluster: TestCluster;
  readonly a: Endpoint;
  readonly b: Endpoint;
}

let one: Side;
let two: Side;

async function side(): Promise<Side> {
  const cluster = await up({ hosts: 2 });
  await createVpc(cluster, 'acme');
  await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h2']);
  const a = await createEndpoint(cluster, 'acme', 'web', 'a', 'h1', { ip: '10.0.1.10' });
  const b = await createEndpoint(cluster, 'acme', 'web', 'b', 'h2', { ip: '10.0.1.11' });
  return { cluster, a, b };
}

beforeAll(async () => {
  [one, two] = await Promise.all([side(), side()]);
});

afterAll(async () => {
  await one?.cluster.down();
  await two?.cluster.down();
});

test('the same addresses in both, and traffic of one is counted in one', async () => {
  expect({ ...two.a, meta: undefined }).toEqual({ ...one.a, meta: undefined });
  const before = await counters(two.cluster, 'h1');
  expect(await ping(one.cluster, { endpoint: one.a }, one.b.ip)).toEqual(allOf(10));
  expect(await countedSince(two.cluster, 'h1', before)).not.toHaveProperty('endpoint/direct');
  expect(await ping(two.cluster, { endpoint: two.a }, two.b.ip)).toEqual(allOf(10));
  expect(await countedSince(two.cluster, 'h1', before)).toHaveProperty('endpoint/direct');
});

test('one changes, fails and ends while the other carries traffic', async () => {
  const { cluster, a, b } = two;
  const before = { hosts: await footprints(cluster), keys: [...(await dump(cluster)).keys()].sort() };
  const flows = [await datagrams(cluster, a, b), await datagrams(cluster, b, a)] as const;
  const tcp = await stream(cluster, a, b, { rate: 2e6 });
  await createEndpoint(one.cluster, 'acme', 'web', 'c', 'h1');
  await one.cluster.signal('kill', 'h1');
  await one.cluster.signal('kill', 'etcd');
  await one.cluster.down();
  for (const flow of flows) {
    const { sent, lost, duplicated, misdelivered } = await flow.finish();
    expect(sent).toBeGreaterThan(0);
    expect({ lost, duplicated, misdelivered }).toEqual({ lost: 0, duplicated: 0, misdelivered: 0 });
  }
  const { sent, received, bad } = await tcp.finish();
  expect({ received, bad }).toEqual({ received: sent, bad: 0 });
  expect({ hosts: await footprints(cluster), keys: [...(await dump(cluster)).keys()].sort() }).toEqual(before);
});
