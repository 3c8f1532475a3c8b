// Behaviours 11, 13 and 14: a bouncer answers, it does not carry; and it is not asked again while the destination lives.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createEndpoint,
  createSubnet,
  createVpc,
  shortLeaseArguments,
  shortLeases,
  type TestCluster,
  up,
} from './harness/cluster';
import { capture, innerOf, isGeneve } from './harness/frames';
import { countedSince, counters } from './harness/observe';
import { allOf, datagrams, ping, stream } from './harness/traffic';

let cluster: TestCluster;

beforeAll(async () => {
  // The minute's check would come into the way of nobody here, and would make counts depend on the machine's speed.
  cluster = await up({ hosts: 3, controllerArguments: [...shortLeaseArguments, '--check-ms', '3600000'] });
  await createVpc(cluster, 'acme');
  await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3']);
});

afterAll(() => cluster?.down());

/** A fresh pair on h1 and h2, of which nobody knows anything yet. */
async function pair(name: string): Promise<readonly [Endpoint, Endpoint]> {
  return [
    await createEndpoint(cluster, 'acme', 'web', `${name}-a`, 'h1'),
    await createEndpoint(cluster, 'acme', 'web', `${name}-b`, 'h2'),
  ];
}

const megabyte = 1 << 20;

test('11: the bouncer sees two ARP frames per direction and no data', async () => {
  const [a, b] = await pair('two');
  const before = await counters(cluster, 'h3');
  // Its own capture would miss what XDP answers: the other end of its wire sees all.
  const wire = await capture(cluster, 'underlay', 'h3');
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    expect(await (await stream(cluster, from, to, { bytes: megabyte })).finish()).toMatchObject({ received: megabyte });
    expect(await (await datagrams(cluster, from, to, { count: 200 })).finish()).toMatchObject({ sent: 200, lost: 0 });
  }
  const seen = (await wire.finish()).filter(isGeneve);
  const inner = seen.map((frame) => ({ direction: frame.direction, type: innerOf(frame).readUInt16BE(12) }));
  // Of the wire's other end: `out` is towards the bouncer.
  const question = { direction: 'out', type: 0x0806 };
  const answer = { direction: 'in', type: 0x0806 };
  expect(inner).toEqual([question, answer, question, answer]);
  const counted = await countedSince(cluster, 'h3', before);
  expect(Object.keys(counted)).toHaveLength(1);
  expect(Object.values(counted)).toEqual([2]);
  expect(Object.keys(counted)[0]).toMatch(/^(bouncer|nic)\/answered$/);
});

test('13: one-way UDP goes direct after the first lookup', async () => {
  const [a, b] = await pair('oneway');
  const before = await counters(cluster, 'h3');
  const receiver = await counters(cluster, 'h2');
  const flow = await datagrams(cluster, a, b, { rate: 1000, count: 3000 });
  expect(await flow.finish()).toMatchObject({ sent: 3000, refused: 0, lost: 0, duplicated: 0, misdelivered: 0 });
  // Three hard leases long, and the bouncer was asked once: the receiver's host renews, though the receiver says nothing.
  const counted = await countedSince(cluster, 'h3', before);
  expect(Object.values(counted)).toEqual([1]);
  // Nothing of the receiver left its host.
  const {
    'nic/delivered': delivered = 0,
    'nic/delivered_told': told = 0,
    ...rest
  } = await countedSince(cluster, 'h2', receiver);
  expect(delivered + told).toBe(3000);
  expect(told).toBeGreaterThanOrEqual(2);
  expect(Object.keys(rest).filter((name) => /direct|ask/.test(name))).toEqual([]);
});

test('13: without ARP the first data packet asks, and the next goes direct', async () => {
  const [a, b] = await pair('static');
  await cluster.must({ endpoint: a }, [
    'ip',
    'neigh',
    'replace',
    b.ip,
    'lladdr',
    b.mac,
    'dev',
    'eth0',
    'nud',
    'permanent',
  ]);
  const bouncer = await counters(cluster, 'h3');
  const sender = await counters(cluster, 'h1');
  const flow = await datagrams(cluster, a, b, { rate: 500, count: 500 });
  expect(await flow.finish()).toMatchObject({ sent: 500, refused: 0, lost: 0, duplicated: 0, misdelivered: 0 });
  const { 'nic/forwarded': forwarded = 0, ...others } = await countedSince(cluster, 'h3', bouncer);
  // Packets are 2 ms apart: those that left before the first answer was back also asked.
  expect(forwarded).toBeGreaterThanOrEqual(1);
  expect(forwarded).toBeLessThanOrEqual(5);
  expect(others).toEqual({});
  const sent = await countedSince(cluster, 'h1', sender);
  expect(sent['endpoint/ask_data']).toBe(forwarded);
  expect((sent['endpoint/direct'] ?? 0) + (sent['endpoint/direct_ask'] ?? 0)).toBe(500 - forwarded);
});

test('14: a flow longer than the hard lease never goes back to the bouncer', async () => {
  const [a, b] = await pair('long');
  // Both directions are known; from here on the bouncer has nothing to do.
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
  const before = await counters(cluster, 'h3');
  const sender = await counters(cluster, 'h1');
  const wire = await capture(cluster, 'underlay', 'h3');
  const flows = [
    await datagrams(cluster, a, b, { rate: 1000 }),
    await datagrams(cluster, b, a, { rate: 1000 }),
    await stream(cluster, a, b, { rate: 2e6 }),
  ] as const;
  const pings = ping(cluster, { endpoint: a }, b.ip, { count: 250 });
  // Time itself is what is tested.
  await sleep(4 * shortLeases.hard_ms);
  expect(await pings).toEqual(allOf(250));
  const [there, back, tcp] = await Promise.all([flows[0].finish(), flows[1].finish(), flows[2].finish()]);
  for (const { sent, lost, duplicated, misdelivered } of [there, back]) {
    expect(sent).toBeGreaterThan(1000);
    expect({ lost, duplicated, misdelivered }).toEqual({ lost: 0, duplicated: 0, misdelivered: 0 });
  }
  expect(tcp).toMatchObject({ received: tcp.sent, bad: 0, broken: false });
  expect((await wire.finish()).filter(isGeneve)).toEqual([]);
  expect(await countedSince(cluster, 'h3', before)).toEqual({});
  // The leases did run out and were renewed by the destination's host.
  const renewed = (await countedSince(cluster, 'h1', sender))['endpoint/direct_ask'] ?? 0;
  expect(renewed).toBeGreaterThanOrEqual(3);
});

test('14: after a silence longer than the hard lease the bouncer is asked again', async () => {
  // What the test before it would look like if the leases did not exist.
  const [a, b] = await pair('idle');
  expect(await ping(cluster, { endpoint: a }, b.ip, { count: 1 })).toMatchObject({ received: 1 });
  const before = await counters(cluster, 'h3');
  await sleep(shortLeases.hard_ms + 100);
  expect(await ping(cluster, { endpoint: a }, b.ip, { count: 1 })).toMatchObject({ received: 1 });
  expect(Object.values(await countedSince(cluster, 'h3', before)).length).toBeGreaterThan(0);
});
