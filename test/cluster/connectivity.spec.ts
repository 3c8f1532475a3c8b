// Behaviours 1 to 5: who reaches whom when endpoints and bouncers lie on the same host or on different ones.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, type TestCluster, up } from './harness/cluster';
import { capture, ethernet, inject, ipPacket, isGeneve, udp } from './harness/frames';
import { talk } from './harness/talk';
import { allOf, datagramSink, ping, report, tokenOf } from './harness/traffic';

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await up({ hosts: 4 });
  await createVpc(cluster, 'acme');
});

afterAll(() => cluster?.down());

const layouts = [
  { title: '1: two hosts, bouncer on a third', hosts: ['h1', 'h2'], bouncers: ['h3'] },
  { title: '2: two hosts, two bouncers elsewhere', hosts: ['h1', 'h2'], bouncers: ['h3', 'h4'] },
  { title: '3: bouncer on the host of one of the two', hosts: ['h1', 'h2'], bouncers: ['h2'] },
  { title: '4: both on one host, bouncer elsewhere', hosts: ['h1', 'h1'], bouncers: ['h3'] },
  { title: '5: all on one host', hosts: ['h1', 'h1'], bouncers: ['h1'] },
] as const;

/** Endpoints a and b of a layout's own subnet. */
async function place(number: number): Promise<readonly [Endpoint, Endpoint]> {
  const { hosts, bouncers } = layouts[number - 1] as (typeof layouts)[number];
  await createSubnet(cluster, 'acme', `s${number}`, `10.0.${number}.0/24`, bouncers);
  const [a, b] = hosts;
  return [
    await createEndpoint(cluster, 'acme', `s${number}`, 'a', a),
    await createEndpoint(cluster, 'acme', `s${number}`, 'b', b),
  ];
}

test.for(layouts.map(({ title }, i) => [title, i + 1] as const))(
  '%s: ICMP, TCP and UDP pass both ways',
  async ([, number]) => {
    const [a, b] = await place(number);
    const isLocal = a.host === b.host;
    const underlay = isLocal ? await capture(cluster, 'underlay', a.host) : undefined;
    await talk(cluster, a, b);
    await talk(cluster, b, a);
    const left = (await underlay?.finish())?.filter(isGeneve) ?? [];
    expect(left, 'traffic of one host stays on it').toEqual([]);
  },
);

test('the counter of datagrams sees loss, doubles, disorder and strangers', async () => {
  // What every other test here says is only worth as much as this.
  await createSubnet(cluster, 'acme', 'count', '10.0.9.0/24', ['h3']);
  const a = await createEndpoint(cluster, 'acme', 'count', 'a', 'h1');
  const b = await createEndpoint(cluster, 'acme', 'count', 'b', 'h2');
  const port = 7777;
  const datagram = (sequence: number, token = tokenOf(b, port)) => {
    const body = Buffer.alloc(16);
    body.writeUInt32LE(0x6d7a7072, 0);
    body.writeUInt32LE(token, 4);
    body.writeBigUInt64LE(BigInt(sequence), 8);
    const packet = { source: a.ip, destination: b.ip, protocol: 17, body: udp(7777, port, body) };
    return ethernet(b.mac, a.mac, 0x0800, ipPacket(packet));
  };
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
  const sink = await datagramSink(cluster, b, port);
  const frames = [datagram(0), datagram(1), datagram(3), datagram(3), datagram(2), datagram(6), datagram(4, 1)];
  await inject(cluster, { endpoint: a }, 'eth0', frames);
  const seen = await report<object>(sink);
  expect(seen).toMatchObject({ received: 6, unique: 5, duplicated: 1, reordered: 1, misdelivered: 1 });
});
