// Behaviours 6 to 9 and 12: endpoints of different subnets reach each other without a router in between, and what nobody
// can reach is said to the tenant at once.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, quiet, type TestCluster, up } from './harness/cluster';
import { flows, whole, wholeEchoes } from './harness/flows';
import { capture, isGeneve } from './harness/frames';
import { type Counters, countedSince, counters, dump } from './harness/observe';
import { talk } from './harness/talk';
import { allOf, ping, stream } from './harness/traffic';

let cluster: TestCluster;
const hosts = ['h1', 'h2', 'h3', 'h4'];

beforeAll(async () => {
  // The minute's check would make counts depend on the machine's speed.
  cluster = await up({ hosts: hosts.length, controllerArguments: ['--check-ms', '3600000'] });
});

afterAll(() => cluster?.down());

const megabyte = 1 << 20;

async function allCounters(): Promise<ReadonlyMap<string, Counters>> {
  return new Map(await Promise.all(hosts.map(async (host) => [host, await counters(cluster, host)] as const)));
}

/** Packets that some host counted so since then, by what the verdict's name matches. */
async function sumSince(before: ReadonlyMap<string, Counters>, pattern: RegExp): Promise<number> {
  const grown = await Promise.all([...before].map(([host, start]) => countedSince(cluster, host, start)));
  const matching = grown.flatMap((counted) => Object.entries(counted).filter(([name]) => pattern.test(name)));
  return matching.reduce((sum, [, value]) => sum + value, 0);
}

describe('6: two subnets, one divider', () => {
  let a: Endpoint;
  let b: Endpoint;
  beforeAll(async () => {
    await createVpc(cluster, 'six', '10.0.0.0/16', 1);
    await createSubnet(cluster, 'six', 'web', '10.0.1.0/24', ['h3']);
    await createSubnet(cluster, 'six', 'db', '10.0.2.0/24', ['h4']);
    a = await createEndpoint(cluster, 'six', 'web', 'a', 'h1');
    b = await createEndpoint(cluster, 'six', 'db', 'b', 'h2');
  });

  test('the first packet arrives, and ICMP, TCP and UDP pass both ways', async () => {
    expect(await ping(cluster, { endpoint: a }, b.ip, { count: 1 })).toEqual(allOf(1));
    await talk(cluster, a, b);
    await talk(cluster, b, a);
  });

  test('both on one host: traffic stays on it once the path is known', async () => {
    const c = await createEndpoint(cluster, 'six', 'db', 'c', 'h1');
    expect(await ping(cluster, { endpoint: a }, c.ip, { count: 1 })).toEqual(allOf(1));
    const underlay = await capture(cluster, 'underlay', 'h1');
    await talk(cluster, a, c);
    await talk(cluster, c, a);
    expect((await underlay.finish()).filter(isGeneve)).toEqual([]);
  });

  test('a packet has crossed one router: its TTL is one less, and the same inside a subnet', async () => {
    const same = await createEndpoint(cluster, 'six', 'web', 'same', 'h2');
    for (const [to, ttl] of [
      [b, 41],
      [same, 42],
    ] as const) {
      const seen = await capture(cluster, { endpoint: to }, 'eth0');
      await cluster.must({ endpoint: a }, ['ping', '-q', '-c', '3', '-i', '0.01', '-W', '2', '-t', '42', to.ip]);
      const requests = (await seen.finish()).filter(
        ({ direction, bytes }) => direction === 'in' && bytes.readUInt16BE(12) === 0x0800 && bytes[34] === 8,
      );
      expect(requests.map(({ bytes }) => bytes[22])).toEqual([ttl, ttl, ttl]);
      // From the gateway or from the neighbour: always a MAC that answers.
      expect(new Set(requests.map(({ bytes }) => (bytes[6] ?? 0) & 1))).toEqual(new Set([0]));
    }
  });

  test('traceroute sees the gateway, then the destination', async () => {
    const hop = async (ttl: number) =>
      (await cluster.run({ endpoint: a }, ['ping', '-n', '-c', '1', '-W', '2', '-t', String(ttl), b.ip])).stdout;
    expect(await hop(1)).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Time to live exceeded/);
    expect(await hop(2)).toMatch(new RegExp(`64 bytes from ${b.ip.replaceAll('.', '\\.')}: icmp_seq=1 ttl=63`));
  });

  test('the gateway answers ping of any size that fits', async () => {
    for (const size of [0, 56, 1000]) {
      expect(await ping(cluster, { endpoint: a }, '10.0.1.1', { count: 3, size })).toEqual(allOf(3));
    }
  });
});

describe('12: divider and bouncer see at most the first packet of each direction', () => {
  test('ping, then TCP and UDP', async () => {
    await createVpc(cluster, 'twelve', '10.0.0.0/16', 1);
    await createSubnet(cluster, 'twelve', 'web', '10.0.1.0/24', ['h3']);
    await createSubnet(cluster, 'twelve', 'db', '10.0.2.0/24', ['h4']);
    const a = await createEndpoint(cluster, 'twelve', 'web', 'a', 'h1');
    const b = await createEndpoint(cluster, 'twelve', 'db', 'b', 'h2');
    await quiet(cluster, a, b);
    const before = await allCounters();
    expect(await ping(cluster, { endpoint: a }, b.ip, { count: 1 })).toEqual(allOf(1));
    // One packet each way, each asked for once, and passed on by a divider and a bouncer, which may be the same host.
    const asked = await sumSince(before, /^endpoint\/ask_data$/);
    const passed = await sumSince(before, /^(nic|bouncer)\/forwarded$/);
    expect(asked).toBeGreaterThanOrEqual(1);
    expect(asked).toBeLessThanOrEqual(2);
    expect(passed).toBeLessThanOrEqual(2 * asked);
    const after = await allCounters();
    expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(await (await stream(cluster, from, to, { bytes: megabyte })).finish()).toMatchObject({
        received: megabyte,
      });
    }
    const traffic = flows(cluster);
    const talkers = [await traffic.talker(a), await traffic.talker(b)] as const;
    talkers[0].to(b, { rate: 2000, count: 2000 });
    talkers[1].to(a, { rate: 2000, count: 2000 });
    await traffic.over();
    expect(await traffic.finish()).toMatchObject({ ...whole, sent: 4000 });
    expect(await sumSince(after, /^(nic|bouncer)\/(forwarded|answered)/)).toBe(0);
    expect(await sumSince(after, /^endpoint\/ask/)).toBe(0);
  });

  test('one-way UDP from the first packet on: none lost, and soon none asks', async () => {
    const a = await createEndpoint(cluster, 'twelve', 'web', 'oneway-a', 'h1');
    const b = await createEndpoint(cluster, 'twelve', 'db', 'oneway-b', 'h2');
    await quiet(cluster, a, b);
    const before = await allCounters();
    const traffic = flows(cluster);
    const talker = await traffic.talker(a);
    await traffic.talker(b);
    talker.to(b, { rate: 1000, count: 1000 });
    await traffic.over();
    expect(await traffic.finish()).toMatchObject({ ...whole, sent: 1000 });
    // Those that left before the first answer was back.
    const asked = await sumSince(before, /^endpoint\/ask_data$/);
    expect(asked).toBeGreaterThanOrEqual(1);
    expect(asked).toBeLessThanOrEqual(10);
    expect(await sumSince(before, /^endpoint\/direct(_ask)?$/)).toBe(1000 - asked);
  });
});

test('7: three bouncers and three dividers, on the hosts of the endpoints: all pairs', async () => {
  const three = hosts.slice(0, 3);
  await createVpc(cluster, 'seven', '10.0.0.0/16', 3);
  const subnets = ['s1', 's2'];
  const all: Endpoint[] = [];
  for (const [i, subnet] of subnets.entries()) {
    await createSubnet(cluster, 'seven', subnet, `10.0.${i + 1}.0/24`, three);
    for (const host of three) {
      all.push(await createEndpoint(cluster, 'seven', subnet, host, host));
    }
  }
  const pairs = all.flatMap((from) => all.filter((to) => to !== from).map((to) => [from, to] as const));
  const pings = pairs.map(([from, to]) => ping(cluster, { endpoint: from }, to.ip, { count: 3, interval_ms: 50 }));
  expect(await Promise.all(pings)).toEqual(pairs.map(() => allOf(3)));
  const traffic = flows(cluster);
  const talkers = await Promise.all(all.map((endpoint) => traffic.talker(endpoint)));
  for (const talker of talkers) {
    for (const to of all.filter(({ ip }) => ip !== talker.endpoint.ip)) {
      talker.to(to, { rate: 100, count: 100, echo: true });
    }
  }
  await traffic.over();
  const account = await traffic.finish();
  expect(account).toMatchObject({ ...whole, echoes: { ...wholeEchoes, sent: 3000 }, sent: 3000 });
  for (const [from, to] of pairs) {
    const tcp = await (await stream(cluster, from, to, { bytes: megabyte })).finish();
    expect(tcp, `${from.name} to ${to.name}`).toEqual({ sent: megabyte, received: megabyte, bad: 0, broken: false });
  }
});

test('8: two VPCs on shared hosts: inside works, across fails both ways', async () => {
  const sides: Endpoint[][] = [];
  for (const [vpc, second] of [
    ['east', '10.1'],
    ['west', '10.2'],
  ] as const) {
    await createVpc(cluster, vpc, `${second}.0.0/16`, 2);
    const made: Endpoint[] = [];
    for (const [i, host] of ['h1', 'h2'].entries()) {
      await createSubnet(cluster, vpc, `s${i}`, `${second}.${i}.0/24`, ['h3', 'h4']);
      made.push(await createEndpoint(cluster, vpc, `s${i}`, 'e', host));
    }
    sides.push(made);
  }
  for (const [one, two] of sides as [Endpoint, Endpoint][]) {
    await talk(cluster, one, two);
    await talk(cluster, two, one);
  }
  const [east = [], west = []] = sides;
  for (const [from, to] of [
    [east, west],
    [west, east],
  ] as const) {
    for (const one of from) {
      for (const other of to) {
        expect((await ping(cluster, { endpoint: one }, other.ip, { count: 2, patience_ms: 200 })).received).toBe(0);
      }
    }
  }
});

describe('what nobody can reach', () => {
  let a: Endpoint;
  beforeAll(async () => {
    await createVpc(cluster, 'far', '10.0.0.0/16', 2);
    await createSubnet(cluster, 'far', 'web', '10.0.1.0/24', ['h3']);
    await createSubnet(cluster, 'far', 'db', '10.0.2.0/24', ['h3', 'h4']);
    a = await createEndpoint(cluster, 'far', 'web', 'a', 'h1');
    // An endpoint of the other subnet exists, so that hosts know it.
    await createEndpoint(cluster, 'far', 'db', 'b', 'h2');
  });

  for (const [title, ip] of [
    ['an address of another subnet that no endpoint has', '10.0.2.200'],
    ['an address of the VPC in no subnet', '10.0.77.7'],
    ['an address outside the VPC', '198.51.100.7'],
  ] as const) {
    test(`${title}: the gateway says host unreachable`, async () => {
      const { stdout } = await cluster.run({ endpoint: a }, ['ping', '-n', '-c', '1', '-W', '3', ip]);
      expect(stdout).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Destination Host Unreachable/);
      // And from what is known by now, without asking.
      const again = await cluster.run({ endpoint: a }, ['ping', '-n', '-c', '1', '-W', '3', ip]);
      expect(again.stdout).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Destination Host Unreachable/);
    });
  }

  test('an endpoint made where nobody was is reached at once, though its address was unreachable before', async () => {
    const ip = '10.0.2.201';
    const { stdout } = await cluster.run({ endpoint: a }, ['ping', '-n', '-c', '1', '-W', '3', ip]);
    expect(stdout).toMatch(/Unreachable/);
    await createEndpoint(cluster, 'far', 'db', 'late', 'h2', { ip });
    // The memory of its absence lasts 100 ms.
    const pings = await ping(cluster, { endpoint: a }, ip, { count: 30, interval_ms: 10, patience_ms: 300 });
    expect(pings.received).toBeGreaterThanOrEqual(19);
    expect(await ping(cluster, { endpoint: a }, ip)).toEqual(allOf(10));
  });

  test('a scan of addresses that nobody has costs the neighbours nothing', async () => {
    const b = await createEndpoint(cluster, 'far', 'db', 'busy', 'h2');
    const c = await createEndpoint(cluster, 'far', 'web', 'busy', 'h1');
    expect(await ping(cluster, { endpoint: c }, b.ip)).toEqual(allOf(10));
    const traffic = flows(cluster);
    const talker = await traffic.talker(c);
    await traffic.talker(b);
    const scanner = await traffic.talker(a);
    talker.to(b, { rate: 1000, count: 2000 });
    for (let i = 3; i < 250; i += 1) {
      scanner.stray(`10.0.3.${i}`, { rate: 20, count: 40 });
    }
    await traffic.over();
    expect(await traffic.finish()).toMatchObject(whole);
  });
});

describe('subnets come and go', () => {
  test('a subnet made later is reached by endpoints that were there before, first packet included', async () => {
    await createVpc(cluster, 'grow', '10.0.0.0/16', 2);
    await createSubnet(cluster, 'grow', 'first', '10.0.1.0/24', ['h3']);
    const a = await createEndpoint(cluster, 'grow', 'first', 'a', 'h1');
    for (const n of [2, 3, 4]) {
      await createSubnet(cluster, 'grow', `s${n}`, `10.0.${n}.0/24`, ['h4']);
      const b = await createEndpoint(cluster, 'grow', `s${n}`, 'b', 'h2');
      expect(await ping(cluster, { endpoint: a }, b.ip, { count: 3 })).toEqual(allOf(3));
      expect(await ping(cluster, { endpoint: b }, a.ip, { count: 3 })).toEqual(allOf(3));
    }
  });

  test('a deleted subnet is unreachable at once, and its prefix can be used again', async () => {
    await createVpc(cluster, 'shrink', '10.0.0.0/16', 2);
    await createSubnet(cluster, 'shrink', 'first', '10.0.1.0/24', ['h3']);
    await createSubnet(cluster, 'shrink', 'second', '10.0.2.0/24', ['h3']);
    const a = await createEndpoint(cluster, 'shrink', 'first', 'a', 'h1');
    const b = await createEndpoint(cluster, 'shrink', 'second', 'b', 'h2');
    expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
    await cluster.api.deleteSubnet({ vpc: 'shrink', name: 'second', cascade: true }).response;
    expect((await ping(cluster, { endpoint: a }, b.ip, { count: 3, patience_ms: 500 })).received).toBe(0);
    const { stdout } = await cluster.run({ endpoint: a }, ['ping', '-n', '-c', '1', '-W', '3', b.ip]);
    expect(stdout).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Destination Host Unreachable/);
    await createSubnet(cluster, 'shrink', 'third', '10.0.2.0/24', ['h4']);
    const c = await createEndpoint(cluster, 'shrink', 'third', 'c', 'h3', { ip: b.ip });
    const pings = await ping(cluster, { endpoint: a }, c.ip, { count: 30, interval_ms: 10, patience_ms: 300 });
    expect(pings.received).toBeGreaterThanOrEqual(19);
    expect(await ping(cluster, { endpoint: c }, a.ip)).toEqual(allOf(10));
  });

  test('a VPC that is deleted leaves no table of its dividers', async () => {
    const { vni } = await createVpc(cluster, 'gone', '10.0.0.0/16', 2);
    const tables = async () => [...(await dump(cluster)).keys()].filter((key) => key.includes(`/slots/${vni}/`));
    expect(await tables()).toHaveLength(1);
    await cluster.api.deleteVpc({ name: 'gone', cascade: false }).response;
    expect(await tables()).toEqual([]);
  });
});
