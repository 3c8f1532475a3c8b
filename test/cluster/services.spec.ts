// Behaviours 27 to 35, in two VPCs with the same addresses, endpoints and services: whoever answers is of the own VPC.
import { Affinity, type Endpoint, Refusal, type Service } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, type TestCluster, up } from './harness/cluster';
import { capture, ethernet, inject, ipPacket, isGeneve } from './harness/frames';
import { countedSince, counters, dropsOf, dump, rows } from './harness/observe';
import { type Answers, ask, clean, connections, createService, nameOf, serve, setBackends } from './harness/services';
import { allOf, ping, reaches, stream } from './harness/traffic';

let cluster: TestCluster;

const vpcs = ['acme', 'beta'] as const;
const hosts = ['h1', 'h2', 'h3', 'h4'] as const;
/** Hosts of endpoints by subnet; h3 and h4 are bouncers of `web`, h3 of `db`. */
const places = {
  web: { b1: 'h1', b2: 'h2', b4: 'h4', c1: 'h1', c3: 'h3' },
  db: { d2: 'h2', e4: 'h4' },
} as const;

interface Tenant {
  readonly web: Readonly<Record<keyof (typeof places)['web'], Endpoint>>;
  readonly db: Readonly<Record<keyof (typeof places)['db'], Endpoint>>;
  /** 80 -> 8080 by TCP, 53 -> 5353 by UDP, 443 -> 8080 by TCP; backends b1, b2, b4. */
  readonly shop: Service;
}

const tenants = new Map<string, Tenant>();
const tenant = (vpc: string): Tenant => tenants.get(vpc) as Tenant;

async function settle(vpc: string): Promise<Tenant> {
  await createVpc(cluster, vpc);
  await createSubnet(cluster, vpc, 'web', '10.0.1.0/24', ['h3', 'h4']);
  await createSubnet(cluster, vpc, 'db', '10.0.2.0/24', ['h3']);
  const endpoints = async <T extends string>(subnet: string, network: string, of: Readonly<Record<T, string>>) => {
    const made: [string, Endpoint][] = [];
    for (const [i, [name, host]] of Object.entries<string>(of).entries()) {
      made.push([name, await createEndpoint(cluster, vpc, subnet, name, host, { ip: `${network}.${i + 11}` })]);
    }
    return Object.fromEntries(made) as Record<T, Endpoint>;
  };
  const web = await endpoints('web', '10.0.1', places.web);
  const db = await endpoints('db', '10.0.2', places.db);
  for (const endpoint of [web.b1, web.b2, web.b4, db.d2]) {
    await serve(cluster, endpoint, 'tcp', 8080);
    await serve(cluster, endpoint, 'udp', 5353);
  }
  const ports = ['80:8080/tcp', '53:5353/udp', '443:8080/tcp'];
  const shop = await createService(cluster, `${vpc}/web/shop`, ports, [web.b1, web.b2, web.b4], { ip: '10.0.1.100' });
  return { web, db, shop };
}

beforeAll(async () => {
  cluster = await up({ hosts: hosts.length });
  for (const vpc of vpcs) {
    tenants.set(vpc, await settle(vpc));
  }
});

afterAll(() => cluster?.down());

const sum = ({ by }: Answers): number => Object.values(by).reduce((total, count) => total + count, 0);

/** All were answered at once, by these and by nobody else. */
function expectAnswers(answers: Answers, count: number, by: readonly Endpoint[]): void {
  expect(answers).toMatchObject(clean);
  expect(sum(answers)).toBe(count);
  expect(by.map(nameOf)).toEqual(expect.arrayContaining(Object.keys(answers.by)));
}

test('the same addresses in both VPCs', () => {
  const [acme, beta] = vpcs.map(tenant);
  expect([acme?.shop.ip, acme?.shop.mac]).toEqual([beta?.shop.ip, beta?.shop.mac]);
  expect(Object.values(acme?.web ?? {}).map(({ ip }) => ip)).toEqual(
    Object.values(beta?.web ?? {}).map(({ ip }) => ip),
  );
  expect(acme?.shop.vni).not.toBe(beta?.shop.vni);
});

test('the same ports of the same addresses to the same services, in both VPCs at once: nobody meets the other', async () => {
  const both = await Promise.all(
    vpcs.map(async (vpc) => {
      const { web, shop } = tenant(vpc);
      return connections(cluster, web.c1, 'tcp', shop, 80, { count: 100, source: 30_000 });
    }),
  );
  for (let round = 0; round < 3; round += 1) {
    const answers = await Promise.all(both.map(({ asking }) => asking.again()));
    for (const [i, vpc] of vpcs.entries()) {
      const { web } = tenant(vpc);
      expectAnswers(answers[i] as Answers, 100, [web.b1, web.b2, web.b4]);
    }
    expect(answers).toHaveLength(vpcs.length);
  }
  for (const { asking } of both) {
    await asking.end();
  }
});

describe.each(vpcs)('%s', (vpc) => {
  test('27, 29: TCP and UDP, several ports that are others at the backends; the first SYN succeeds', async () => {
    const { web, shop } = tenant(vpc);
    const all = [web.b1, web.b2, web.b4];
    for (const from of [web.c1, web.c3, web.b2]) {
      expectAnswers(await ask(cluster, from, 'tcp', shop, 80), 1, all);
      expectAnswers(await ask(cluster, from, 'tcp', shop, 443), 1, all);
      expectAnswers(await ask(cluster, from, 'udp', shop, 53), 1, all);
    }
    expect(await ping(cluster, { endpoint: web.c1 }, shop.ip)).toEqual(allOf(10));
  });

  test('28: a connection keeps its backend, fifty meet all of them', async () => {
    const { web, shop } = tenant(vpc);
    const all = [web.b1, web.b2, web.b4];
    for (const protocol of ['tcp', 'udp'] as const) {
      const port = protocol === 'tcp' ? 80 : 53;
      const { first, asking } = await connections(cluster, web.c1, protocol, shop, port, { count: 50 });
      expectAnswers(first, 50, all);
      expect(Object.keys(first.by).sort()).toEqual(all.map(nameOf).sort());
      for (let round = 0; round < 10; round += 1) {
        expect(await asking.again()).toMatchObject({ by: first.by, changed: 0, silent: 0, retransmits: 0 });
      }
      await asking.end();
    }
  });

  test('28: flows go from host to host, past every bouncer', async () => {
    const { web, shop } = tenant(vpc);
    const { first, asking } = await connections(cluster, web.c1, 'tcp', shop, 80, { count: 20 });
    expectAnswers(first, 20, [web.b1, web.b2, web.b4]);
    const before = await Promise.all(hosts.map((host) => counters(cluster, host)));
    for (let round = 0; round < 5; round += 1) {
      expect(await asking.again()).toMatchObject({ ...clean, by: first.by });
    }
    const since = await Promise.all(hosts.map((host, i) => countedSince(cluster, host, before[i] ?? {})));
    expect(since.flatMap((counted) => Object.keys(counted)).filter((name) => /pinned|forwarded$/.test(name))).toEqual(
      [],
    );
    await asking.end();
  });

  test('30: client on the bouncer’s host, backend on the client’s host, backend that is its own client', async () => {
    const { web } = tenant(vpc);
    const near = await createService(cluster, `${vpc}/web/near`, ['80:8080/tcp', '53:5353/udp'], [web.b1]);
    for (const from of [web.c3, web.c1, web.b1, web.b4]) {
      for (let round = 0; round < 3; round += 1) {
        expectAnswers(await ask(cluster, from, 'tcp', near, 80, { count: 5 }), 5, [web.b1]);
        expectAnswers(await ask(cluster, from, 'udp', near, 53, { count: 5 }), 5, [web.b1]);
      }
    }
    const underlay = await capture(cluster, 'underlay', 'h1');
    expectAnswers(await ask(cluster, web.b1, 'tcp', near, 80, { count: 5 }), 5, [web.b1]);
    const left = (await underlay.finish()).filter(isGeneve);
    // Only each flow's first packet, there and back.
    expect(left.length).toBeLessThanOrEqual(12);
  });

  test('31: from another subnet, to backends in several, which two services share', async () => {
    const { web, db, shop } = tenant(vpc);
    const wide = await createService(
      cluster,
      `${vpc}/db/wide`,
      ['80:8080/tcp', '53:5353/udp'],
      [web.b1, web.b2, db.d2],
    );
    const both = [web.b1, web.b2, db.d2];
    for (const from of [db.e4, web.c1, web.c3, db.d2]) {
      const tcp = await ask(cluster, from, 'tcp', wide, 80, { count: 40 });
      expectAnswers(tcp, 40, both);
      expect(Object.keys(tcp.by).sort()).toEqual(both.map(nameOf).sort());
      expectAnswers(await ask(cluster, from, 'udp', wide, 53, { count: 10 }), 10, both);
    }
    expectAnswers(await ask(cluster, db.e4, 'tcp', shop, 80, { count: 20 }), 20, [web.b1, web.b2, web.b4]);
    // The same ports of one client to both, at the same time: flows to one backend that only the service tells apart.
    const source = 40_000;
    const one = await connections(cluster, web.c1, 'tcp', shop, 80, { count: 60, source });
    const two = await connections(cluster, web.c1, 'tcp', wide, 80, { count: 60, source });
    expectAnswers(one.first, 60, [web.b1, web.b2, web.b4]);
    expectAnswers(two.first, 60, both);
    for (let round = 0; round < 3; round += 1) {
      expect(await one.asking.again()).toMatchObject({ ...clean, by: one.first.by });
      expect(await two.asking.again()).toMatchObject({ ...clean, by: two.first.by });
    }
    await one.asking.end();
    await two.asking.end();
  });

  test('32: a port that is none is refused, another protocol dropped, and nobody there is told or not, as configured', async () => {
    const { web, shop } = tenant(vpc);
    for (const from of [web.c1, web.c3]) {
      expect(await ask(cluster, from, 'tcp', shop, 81, { patience_ms: 3000 })).toMatchObject({ by: {}, refused: 1 });
      expect(await ask(cluster, from, 'udp', shop, 80, { patience_ms: 3000 })).toMatchObject({ by: {}, refused: 1 });
    }
    const before = await counters(cluster, 'h1');
    const packet = { source: web.c1.ip, destination: shop.ip, protocol: 132, body: Buffer.alloc(32) };
    await inject(cluster, { endpoint: web.c1 }, 'eth0', [ethernet(shop.mac, web.c1.mac, 0x0800, ipPacket(packet))]);
    await expect.poll(() => countedSince(cluster, 'h1', before)).toEqual({ 'endpoint/service_protocol': 1 });
    const empty = await createService(cluster, `${vpc}/web/empty`, ['80:8080/tcp'], []);
    expect(await ask(cluster, web.c1, 'tcp', empty, 80, { patience_ms: 3000 })).toMatchObject({ by: {}, refused: 1 });
    const mute = await createService(cluster, `${vpc}/web/mute`, ['80:8080/tcp'], [], { refusal: Refusal.DROP });
    expect(await ask(cluster, web.c1, 'tcp', mute, 80, { patience_ms: 1500 })).toMatchObject({ by: {}, silent: 1 });
    expect(await dropsOf(cluster, 'h1')).toMatchObject({ [`${shop.vni}/no_backend`]: expect.any(Number) });
    await setBackends(cluster, empty, [web.b2]);
    expectAnswers(await ask(cluster, web.c1, 'tcp', empty, 80), 1, [web.b2]);
  });

  test('33: a removed backend gets no new flow and its old ones go on; an added one takes its share', async () => {
    const { web } = tenant(vpc);
    const pair = await createService(cluster, `${vpc}/web/pair`, ['80:8080/tcp'], [web.b1, web.b2]);
    const old = await connections(cluster, web.c1, 'tcp', pair, 80, { count: 40 });
    expectAnswers(old.first, 40, [web.b1, web.b2]);
    await setBackends(cluster, pair, [web.b2, web.b4]);
    const fresh = await ask(cluster, web.c1, 'tcp', pair, 80, { count: 200, source: 20_000 });
    expectAnswers(fresh, 200, [web.b2, web.b4]);
    // Half of 200, to within five standard deviations.
    expect(Math.abs((fresh.by[nameOf(web.b4)] ?? 0) - 100)).toBeLessThan(36);
    expect(await old.asking.again()).toMatchObject({ ...clean, by: old.first.by });
    await setBackends(cluster, pair, [web.b2]);
    // Also from the ports of flows that ended just now.
    expectAnswers(await ask(cluster, web.c1, 'tcp', pair, 80, { count: 200, source: 20_000 }), 200, [web.b2]);
    expect(await old.asking.again()).toMatchObject({ ...clean, by: old.first.by });
    await old.asking.end();
  });

  test('34: the port of an old connection finds a live backend', async () => {
    const { web } = tenant(vpc);
    const last = await createEndpoint(cluster, vpc, 'web', 'last', 'h2');
    await serve(cluster, last, 'tcp', 8080);
    const reused = await createService(cluster, `${vpc}/web/reused`, ['80:8080/tcp'], [last]);
    expect(reused.backends.map(({ ip }) => ip)).toEqual([last.ip]);
    const source = 45_000;
    const { first, asking } = await connections(cluster, web.c1, 'tcp', reused, 80, { source });
    expectAnswers(first, 1, [last]);
    await setBackends(cluster, reused, [web.b4]);
    await cluster.api.deleteEndpoint({ vpc, subnet: 'web', name: 'last', timeoutMs: 0 });
    await asking.end();
    for (let round = 0; round < 5; round += 1) {
      expectAnswers(await ask(cluster, web.c1, 'tcp', reused, 80, { source }), 1, [web.b4]);
    }
  });

  test('35: ICMP errors about a flow reach its client', async () => {
    const { web } = tenant(vpc);
    // Nobody listens at the backend's port: its kernel says so, about a packet that the client did not send like this.
    const closed = await createService(cluster, `${vpc}/web/closed`, ['9:9/tcp', '9:9/udp'], [web.b2]);
    for (const from of [web.c1, web.c3, web.b2]) {
      expect(await ask(cluster, from, 'udp', closed, 9, { patience_ms: 3000 })).toMatchObject({ by: {}, refused: 1 });
      expect(await ask(cluster, from, 'tcp', closed, 9, { patience_ms: 3000 })).toMatchObject({ by: {}, refused: 1 });
    }
  });

  test('a client keeps its backend when it is to', async () => {
    const { web } = tenant(vpc);
    const more = { affinity: Affinity.CLIENT_IP };
    const loyal = await createService(cluster, `${vpc}/web/loyal`, ['80:8080/tcp'], [web.b1, web.b2, web.b4], more);
    for (const from of [web.c1, web.c3, web.b1]) {
      const answers = await ask(cluster, from, 'tcp', loyal, 80, { count: 30 });
      expectAnswers(answers, 30, [web.b1, web.b2, web.b4]);
      expect(Object.keys(answers.by)).toHaveLength(1);
      expect((await ask(cluster, from, 'tcp', loyal, 80, { count: 5 })).by).toEqual({
        [Object.keys(answers.by)[0] ?? '']: 5,
      });
    }
  });

  test('a stream of megabytes is whole', async () => {
    const { web } = tenant(vpc);
    const bulk = await createService(cluster, `${vpc}/web/bulk`, ['7000:7000/tcp'], [web.b4]);
    const bytes = 50 << 20;
    const flow = await stream(cluster, web.c1, web.b4, { bytes, port: 7000, via: bulk.ip });
    expect(await flow.finish()).toEqual({ sent: bytes, received: bytes, bad: 0, broken: false });
  });

  test('what is no service any more is nobody', async () => {
    const { web } = tenant(vpc);
    const brief = await createService(cluster, `${vpc}/web/brief`, ['80:8080/tcp'], [web.b4]);
    expectAnswers(await ask(cluster, web.c1, 'tcp', brief, 80), 1, [web.b4]);
    await cluster.api.deleteService({ vpc, subnet: 'web', name: 'brief' });
    expect(await reaches(cluster, web.c3, brief.ip)).toBe(false);
    const { by } = await ask(cluster, web.c3, 'tcp', brief, 80, { patience_ms: 1500 });
    expect(by).toEqual({});
  });
});

test('nothing of them is left', async () => {
  const maps = ['services', 'service_ports', 'backends'] as const;
  const count = async (host: string) => Promise.all(maps.map(async (map) => (await rows(cluster, host, map)).length));
  for (const n of await count('h3')) {
    expect(n).toBeGreaterThan(0);
  }
  for (const vpc of vpcs) {
    await cluster.api.deleteVpc({ name: vpc, cascade: true });
  }
  for (const host of hosts) {
    expect(await count(host)).toEqual([0, 0, 0]);
  }
  const keys = [...(await dump(cluster)).keys()];
  expect(keys.filter((key) => /\/(services|service-addresses|backends)\//.test(key))).toEqual([]);
});
