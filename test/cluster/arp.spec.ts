// Behaviours 18 to 22: who answers ARP, and who never hears of it.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, quiet, type TestCluster, up } from './harness/cluster';
import {
  arp,
  arpFrom,
  type Capture,
  capture,
  type Frame,
  inject,
  injectCounted,
  ip4,
  isArp,
  mac,
} from './harness/frames';
import { type Counters, countedSince, counters } from './harness/observe';
import { allOf, ping, reaches } from './harness/traffic';

const gateway = '10.0.1.1';
const unknown = '10.0.1.250';
const broadcast = 'ff:ff:ff:ff:ff:ff';

let cluster: TestCluster;
let a: Endpoint;
let b: Endpoint;
let local: Endpoint;

beforeAll(async () => {
  cluster = await up({ hosts: 3 });
  await createVpc(cluster, 'acme');
  await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3']);
  a = await createEndpoint(cluster, 'acme', 'web', 'a', 'h1');
  local = await createEndpoint(cluster, 'acme', 'web', 'local', 'h1');
  b = await createEndpoint(cluster, 'acme', 'web', 'b', 'h2');
  await quiet(cluster, a, local, b);
});

afterAll(() => cluster?.down());

const eth0 = (endpoint: Endpoint) => capture(cluster, { endpoint }, 'eth0');
const incomingArp = (frames: readonly Frame[]) =>
  frames.filter((frame) => frame.direction === 'in' && isArp(frame)).map(({ bytes }) => bytes.subarray(0, 42));

const reply = (of: { readonly ip: string; readonly mac: string }, to: Endpoint) =>
  arp({ operation: 'reply', senderMac: of.mac, sender: of.ip, targetMac: to.mac, target: to.ip, to: to.mac });

const sendCounted = (from: Endpoint, frames: readonly Buffer[], counted: Counters) =>
  injectCounted(cluster, { endpoint: from }, 'eth0', frames, { [from.host]: counted });

/** The ARP reply that comes back to an endpoint for the frame it sends. */
async function answerTo(from: Endpoint, request: Buffer): Promise<Buffer | undefined> {
  const asker = await eth0(from);
  await inject(cluster, { endpoint: from }, 'eth0', [request]);
  await expect.poll(() => incomingArp(asker.seen()).length).toBe(1);
  return incomingArp(await asker.finish())[0];
}

test('18: a request is answered with the MAC of its target, which does not see it', async () => {
  const target = await eth0(b);
  const asker = await eth0(a);
  await inject(cluster, { endpoint: a }, 'eth0', [arpFrom(a, b.ip)]);
  // What the kernel asks by itself is answered the same way.
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
  const answers = incomingArp(await asker.finish());
  expect(answers.length).toBeGreaterThanOrEqual(1);
  for (const answer of answers) {
    expect(answer.toString('hex')).toBe(reply(b, a).toString('hex'));
  }
  const seen = await target.finish();
  expect(incomingArp(seen).filter((frame) => frame.readUInt16BE(20) === 1)).toEqual([]);
  // It did see the pings.
  expect(seen.filter((frame) => frame.direction === 'in' && !isArp(frame)).length).toBeGreaterThanOrEqual(10);
  const neighbour = await cluster.must({ endpoint: a }, ['ip', '-o', 'neigh', 'show', b.ip]);
  expect(neighbour).toContain(b.mac);
});

test('18: an endpoint of the same host is answered for on the spot', async () => {
  const target = await eth0(local);
  const answer = await answerTo(a, arpFrom(a, local.ip));
  expect(answer?.toString('hex')).toBe(reply(local, a).toString('hex'));
  expect(incomingArp(await target.finish())).toEqual([]);
});

test('19: the gateway answers ARP with a unicast MAC, and pings, without leaving the host', async () => {
  const wire = await capture(cluster, 'underlay', 'h1');
  const asker = await eth0(a);
  await inject(cluster, { endpoint: a }, 'eth0', [arpFrom(a, gateway)]);
  expect(await ping(cluster, { endpoint: a }, gateway)).toEqual(allOf(10));
  expect(await ping(cluster, { endpoint: a }, gateway, { count: 3, size: 1000 })).toEqual(allOf(3));
  const answers = incomingArp(await asker.finish());
  expect(answers.length).toBeGreaterThanOrEqual(1);
  for (const answer of answers) {
    const sender = answer.subarray(22, 28);
    expect((sender[0] ?? 1) & 1, 'a unicast MAC').toBe(0);
    expect(answer.subarray(6, 12)).toEqual(sender);
    expect(answer.subarray(28, 32)).toEqual(ip4(gateway));
    expect(answer.subarray(0, 6)).toEqual(mac(a.mac));
  }
  expect((await wire.finish()).filter(({ bytes }) => bytes[23] === 17)).toEqual([]);
});

test('20: an unknown address is not answered and not flooded', async () => {
  const others: Capture[] = await Promise.all([eth0(b), eth0(local)]);
  const asker = await eth0(a);
  const before = await counters(cluster, 'h3');
  const told = await counters(cluster, 'h1');
  await inject(cluster, { endpoint: a }, 'eth0', [arpFrom(a, unknown)]);
  // The bouncer's word is back: an answer would be, too.
  await expect.poll(async () => (await countedSince(cluster, 'h1', told))['nic/told_none']).toBe(1);
  // A whole attempt of the kernel, too.
  expect(await reaches(cluster, a, unknown)).toBe(false);
  for (const other of [...others, asker]) {
    expect(incomingArp(await other.finish())).toEqual([]);
  }
  // The bouncer heard of it, so the request did not just get lost.
  const counted = await countedSince(cluster, 'h3', before);
  expect((counted['bouncer/answered_none'] ?? 0) + (counted['nic/answered_none'] ?? 0)).toBeGreaterThanOrEqual(1);
});

test('20: an address outside the subnet is not answered either', async () => {
  const asker = await eth0(a);
  await sendCounted(a, [arpFrom(a, '10.0.2.7'), arpFrom(a, '192.0.2.1')], { 'endpoint/no_route': 2 });
  expect(incomingArp(await asker.finish())).toEqual([]);
});

test('21: duplicate address detection passes', async () => {
  const others: Capture[] = await Promise.all([eth0(b), eth0(local)]);
  const probes = Array.from({ length: 3 }, () =>
    arp({ operation: 'request', senderMac: a.mac, sender: '0.0.0.0', target: a.ip }),
  );
  const asker = await eth0(a);
  await sendCounted(a, probes, { 'endpoint/arp_self': 3 });
  const answers = incomingArp(await asker.finish());
  expect(answers, 'nobody claims the address').toEqual([]);
  for (const other of others) {
    expect(incomingArp(await other.finish())).toEqual([]);
  }
});

test('21: a probe for an address that is in use finds its owner', async () => {
  const probe = (target: string) => arp({ operation: 'request', senderMac: a.mac, sender: '0.0.0.0', target });
  const answer = await answerTo(a, probe(b.ip));
  expect(answer?.subarray(22, 32)).toEqual(Buffer.concat([mac(b.mac), ip4(b.ip)]));
});

test('22: gratuitous ARP harms nobody', async () => {
  expect(await reaches(cluster, b, a.ip)).toBe(true);
  const others: Capture[] = await Promise.all([eth0(b), eth0(local)]);
  const announce = (operation: 'request' | 'reply', target: string) =>
    arp({
      operation,
      senderMac: a.mac,
      sender: a.ip,
      target,
      targetMac: operation === 'reply' ? broadcast : undefined,
    });
  await sendCounted(a, [announce('request', a.ip)], { 'endpoint/arp_self': 1 });
  await sendCounted(a, [announce('reply', a.ip), announce('reply', b.ip)], {
    'endpoint/arp_self': 1,
    'endpoint/arp_reply': 1,
  });
  for (const other of others) {
    expect(incomingArp(await other.finish())).toEqual([]);
  }
  for (const [from, to] of [
    [a, b],
    [b, a],
    [local, a],
  ] as const) {
    expect(await ping(cluster, { endpoint: from }, to.ip)).toEqual(allOf(10));
  }
});

test('22: announcing the address of another takes nothing from it', async () => {
  const claims = (['request', 'reply'] as const).map((operation) =>
    arp({ operation, senderMac: a.mac, sender: b.ip, target: b.ip }),
  );
  await sendCounted(a, claims, { 'endpoint/spoofed_arp': 2 });
  const neighbours = await cluster.must({ endpoint: local }, ['sh', '-c', `ping -q -c 1 -W 9 ${b.ip} && ip -o neigh`]);
  expect(neighbours).toContain(`${b.ip} dev eth0 lladdr ${b.mac}`);
});
