// Behaviours 15 to 17: an endpoint that moves takes its address along and loses nothing, one that is deleted is gone, and one
// made anew elsewhere is found.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, quiet, type TestCluster, up } from './harness/cluster';
import { flows, type Talker, whole, wholeEchoes } from './harness/flows';
import { capture, isGeneve } from './harness/frames';
import { countedSince, counters, dropsOf, rows } from './harness/observe';
import { type Place, place } from './harness/place';
import { random } from './harness/random';
import { allOf, ping, pinging, stream } from './harness/traffic';

let cluster: TestCluster;
const hosts = ['h1', 'h2', 'h3', 'h4'];
const seed = Number(process.env.MEGREZ_TEST_SEED ?? 15);

beforeAll(async () => {
  cluster = await up({ hosts: hosts.length });
  await createVpc(cluster, 'acme', '10.0.0.0/16', 2);
  await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3', 'h4']);
  await createSubnet(cluster, 'acme', 'db', '10.0.2.0/24', ['h2', 'h3']);
});

afterAll(() => cluster?.down());

const move = ({ vpc, subnet, name }: Endpoint, { host, attachment }: Place) =>
  cluster.api.moveEndpoint({ vpc, subnet, name, host, attachment, force: false, timeoutMs: 0 }).response;

const remove = ({ vpc, subnet, name }: Endpoint) =>
  cluster.api.deleteEndpoint({ vpc, subnet, name, timeoutMs: 0 }).response;

/** An endpoint in the first of two places, with the other one ready. */
async function mover(subnet: string, name: string, from: string, to: string) {
  const places = [await place(cluster, from), await place(cluster, to)] as const;
  const { host, attachment } = places[0];
  const endpoint = await createEndpoint(cluster, 'acme', subnet, name, host, { attachment });
  return { endpoint, places };
}

describe('15: moves under traffic', () => {
  test('100 moves back and forth at 10,000 packets a second from three hosts: none lost', async () => {
    const { endpoint: m, places } = await mover('web', 'm', 'h1', 'h2');
    const peers = [
      await createEndpoint(cluster, 'acme', 'web', 'near', 'h1'),
      await createEndpoint(cluster, 'acme', 'web', 'other', 'h4'),
      await createEndpoint(cluster, 'acme', 'db', 'far', 'h3'),
    ];
    await quiet(cluster, ...peers);
    const account = flows(cluster);
    for (const [instance, { where }] of places.entries()) {
      await account.talker(m, { where, instance });
    }
    const rates = [4000, 3000, 3000];
    for (const [i, peer] of peers.entries()) {
      (await account.talker(peer)).to(m, { rate: rates[i] ?? 0 });
    }
    let now = m;
    for (let i = 1; i <= 100; i += 1) {
      now = await move(m, places[i % 2] as Place);
      expect(now).toMatchObject({ host: places[i % 2]?.host, ip: m.ip, mac: m.mac, movingTo: '', movedFrom: '' });
    }
    const seen = await account.finish();
    expect(seen.sent).toBeGreaterThan(50_000);
    expect(seen).toMatchObject(whole);
    expect(now.host).toBe('h1');
  });

  test('what is asked of a moving endpoint is answered: its old kernel answers as long as it is asked', async () => {
    const { endpoint: m, places } = await mover('web', 'answers', 'h1', 'h2');
    const peers = [
      await createEndpoint(cluster, 'acme', 'web', 'asks', 'h4'),
      await createEndpoint(cluster, 'acme', 'db', 'asks', 'h3'),
    ];
    await quiet(cluster, ...peers);
    const pings = await Promise.all(peers.map((peer) => pinging(cluster, { endpoint: peer }, m.ip, 1)));
    for (let i = 1; i <= 30; i += 1) {
      await move(m, places[i % 2] as Place);
    }
    for (const { finish } of pings) {
      const pinged = await finish();
      expect(pinged).toEqual(allOf(pinged.sent));
    }
  });

  test('both ends move at once, again and again, while they talk to each other: none lost', async () => {
    const { below } = random(seed);
    const account = flows(cluster);
    const ends = await Promise.all(
      [
        ['web', 'one', 'h1', 'h2'],
        ['db', 'two', 'h3', 'h4'],
      ].map(async ([subnet = '', name = '', from = '', to = '']) => {
        const { endpoint, places } = await mover(subnet, name, from, to);
        const talkers: Talker[] = [];
        for (const [instance, { where }] of places.entries()) {
          talkers.push(await account.talker(endpoint, { where, instance }));
        }
        return { endpoint, places, talkers };
      }),
    );
    const [one, two] = ends as [(typeof ends)[number], (typeof ends)[number]];
    for (const { talkers } of ends) {
      await talkers[1]?.pause();
    }
    for (const [self, other] of [
      [one, two],
      [two, one],
    ] as const) {
      for (const talker of self.talkers) {
        talker.to(other.endpoint, { rate: 2500 });
      }
    }
    for (let i = 1; i <= 25; i += 1) {
      // Like a machine that is moved: still while it moves, and then it goes on from where it is. The other one sends on.
      const go = async ({ endpoint, places, talkers }: typeof one) => {
        await talkers[(i + 1) % 2]?.pause();
        await sleep(5);
        await move(endpoint, places[i % 2] as Place);
        await talkers[i % 2]?.resume();
      };
      const [first, second] = i % 2 === 0 ? [one, two] : [two, one];
      await Promise.all([go(first), sleep(below(80)).then(() => go(second))]);
    }
    const seen = await account.finish();
    expect(seen.sent).toBeGreaterThan(1000);
    expect(seen).toMatchObject(whole);
  });

  test('a peer that only listens is found after the move of who sends; TCP of others is untouched', async () => {
    const m = await mover('web', 'sender', 'h1', 'h2');
    const peer = await createEndpoint(cluster, 'acme', 'db', 'listener', 'h3');
    const still = await createEndpoint(cluster, 'acme', 'web', 'still', 'h1');
    const tcp = await stream(cluster, still, peer, { rate: 2e6 });
    const account = flows(cluster);
    await account.talker(peer);
    const talkers: Talker[] = [];
    for (const [instance, { where }] of m.places.entries()) {
      talkers.push(await account.talker(m.endpoint, { where, instance }));
    }
    talkers[0]?.to(peer, { rate: 1000, echo: true });
    await sleep(200);
    await talkers[0]?.pause();
    await sleep(50);
    await move(m.endpoint, m.places[1]);
    talkers[1]?.to(peer, { rate: 1000, echo: true });
    await sleep(300);
    expect(await account.finish()).toMatchObject({ ...whole, echoes: wholeEchoes });
    const streamed = await tcp.finish();
    expect(streamed).toMatchObject({ received: streamed.sent, bad: 0, broken: false });
  });

  test('nothing of a moved endpoint is left at its old host but a tombstone that passes on', async () => {
    const m = await mover('web', 'trace', 'h1', 'h2');
    const keyed = async (host: string, map: Parameters<typeof rows>[2]) => {
      const ip = Buffer.concat([
        Buffer.alloc(10),
        Buffer.from([0xff, 0xff]),
        Buffer.from(m.endpoint.ip.split('.').map(Number)),
      ]);
      return (await rows(cluster, host, map)).filter(({ key }) => key.includes(ip)).length;
    };
    expect([await keyed('h1', 'endpoints'), await keyed('h2', 'endpoints')]).toEqual([1, 0]);
    await move(m.endpoint, m.places[1]);
    expect([await keyed('h1', 'endpoints'), await keyed('h2', 'endpoints')]).toEqual([0, 1]);
    expect([await keyed('h1', 'tombstones'), await keyed('h2', 'tombstones')]).toEqual([1, 0]);
    await move(m.endpoint, m.places[0]);
    expect([await keyed('h1', 'tombstones'), await keyed('h2', 'tombstones')]).toEqual([0, 1]);
  });

  test('moves that cannot be are refused with their reason, and change nothing', async () => {
    const m = await createEndpoint(cluster, 'acme', 'web', 'stays', 'h1');
    const peer = await createEndpoint(cluster, 'acme', 'web', 'stays-peer', 'h2');
    const call = (more: object) =>
      cluster.api.moveEndpoint({
        vpc: 'acme',
        subnet: 'web',
        name: 'stays',
        host: 'h2',
        force: false,
        timeoutMs: 0,
        ...more,
      }).response;
    await expect(call({ host: 'h9' })).rejects.toMatchObject({ code: 'NOT_FOUND', object: 'host h9' });
    await expect(call({ name: 'nobody' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      object: 'endpoint acme/web/nobody',
    });
    await expect(call({ host: '' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await call({ host: 'h1' })).toMatchObject({ host: 'h1', ip: m.ip });
    expect(await ping(cluster, { endpoint: peer }, m.ip)).toEqual(allOf(10));
  });
});

describe('16: deleted', () => {
  test('packets to a deleted endpoint die near, with a reason, and their sender is told', async () => {
    const a = await createEndpoint(cluster, 'acme', 'web', 'mourner', 'h1');
    const far = await createEndpoint(cluster, 'acme', 'db', 'mourner', 'h4');
    const gone = await createEndpoint(cluster, 'acme', 'web', 'gone', 'h2');
    const probes = [a, far];
    await quiet(cluster, ...probes);
    for (const endpoint of probes) {
      expect(await ping(cluster, { endpoint }, gone.ip)).toEqual(allOf(10));
    }
    await remove(gone);
    const before = new Map(
      await Promise.all(hosts.map(async (host) => [host, await counters(cluster, host)] as const)),
    );
    const wires = await Promise.all(hosts.map((host) => capture(cluster, 'underlay', host)));
    const account = flows(cluster);
    const sent = 500;
    for (const endpoint of probes) {
      (await account.talker(endpoint)).stray(gone.ip, { rate: 1000, count: sent });
    }
    await account.over();
    expect(await account.finish()).toMatchObject({ misdelivered: 0, strange: 0, sent: 2 * sent });
    // Each packet crosses at most five wires; as soon as the sender's host knows, none.
    const frames = (await Promise.all(wires.map((wire) => wire.finish()))).flat();
    const crossed = frames.filter((frame) => isGeneve(frame) && frame.direction === 'in').length;
    expect(crossed).toBeLessThan(2 * sent);
    const ends = /no_|unknown_address|unreachable|gone|none|not_here|hops/;
    const grown = await Promise.all([...before].map(([host, start]) => countedSince(cluster, host, start)));
    const ended = grown
      .flatMap((counted) => Object.entries(counted).filter(([name]) => ends.test(name)))
      .reduce((sum, [, value]) => sum + value, 0);
    expect(ended).toBeGreaterThan(0);
    const hopped = grown.flatMap((counted) => Object.keys(counted)).filter((name) => name.endsWith('/hops'));
    expect(hopped, 'nothing went round until its hops were used up').toEqual([]);
    const { stdout } = await cluster.run({ endpoint: far }, ['ping', '-n', '-c', '1', '-W', '3', gone.ip]);
    expect(stdout).toMatch(/From 10\.0\.2\.1 icmp_seq=1 Destination Host Unreachable/);
  });

  test('deleted under traffic: what is sent afterwards reaches nobody, and drops have their reasons', async () => {
    const a = await createEndpoint(cluster, 'acme', 'db', 'witness', 'h1');
    const gone = await createEndpoint(cluster, 'acme', 'web', 'cut', 'h2');
    const account = flows(cluster);
    const talker = await account.talker(a);
    await account.talker(gone);
    talker.to(gone, { rate: 2000 });
    await sleep(300);
    const { vni } = gone;
    const before = Object.fromEntries(
      await Promise.all(hosts.map(async (host) => [host, await dropsOf(cluster, host)])),
    );
    await remove(gone);
    await sleep(300);
    const seen = await account.finish();
    expect(seen).toMatchObject({ duplicated: 0, misdelivered: 0, strange: 0 });
    // One gap, from the deletion to the end.
    expect(seen.gaps).toHaveLength(1);
    expect(seen.lost).toBeGreaterThan(100);
    const reasons = new Set<string>();
    for (const host of hosts) {
      for (const [name, value] of Object.entries(await dropsOf(cluster, host))) {
        if (name.startsWith(`${vni}/`) && value > (before[host]?.[name] ?? 0)) {
          reasons.add(name.split('/')[1] ?? '');
        }
      }
    }
    for (const odd of ['hops', 'malformed', 'kernel', 'no_port', 'forged_cookie', 'forged_host', 'stale']) {
      expect([...reasons]).not.toContain(odd);
    }
  });
});

describe('17: deleted and made again elsewhere', () => {
  test('the same address on another host works at once, for peers that knew it and for those that did not', async () => {
    const knew = await createEndpoint(cluster, 'acme', 'web', 'knew', 'h1');
    const farKnew = await createEndpoint(cluster, 'acme', 'db', 'knew', 'h3');
    const stranger = await createEndpoint(cluster, 'acme', 'db', 'stranger', 'h1');
    await quiet(cluster, knew, farKnew, stranger);
    const ip = '10.0.1.222';
    let current = await createEndpoint(cluster, 'acme', 'web', 'again-0', 'h1', { ip });
    for (const [i, host] of ['h2', 'h4', 'h1', 'h3', 'h2'].entries()) {
      for (const endpoint of [knew, farKnew]) {
        expect(await ping(cluster, { endpoint }, ip)).toEqual(allOf(10));
      }
      await remove(current);
      current = await createEndpoint(cluster, 'acme', 'web', `again-${i + 1}`, host, { ip });
      const account = flows(cluster);
      await account.talker(current);
      for (const endpoint of [knew, farKnew, stranger]) {
        (await account.talker(endpoint)).to(current, { rate: 500, count: 250 });
      }
      await account.over();
      const seen = await account.finish();
      // A peer's old path costs it what it sent until the old host's answer was back, and nobody anything later.
      expect(seen).toMatchObject({ duplicated: 0, misdelivered: 0, strange: 0 });
      for (const { from, first, count } of seen.gaps) {
        expect({ from, first }).toEqual({ from, first: 0 });
        expect(count).toBeLessThanOrEqual(5);
      }
      expect(seen.gaps.filter(({ from }) => from.endsWith('/stranger') && i === 0)).toEqual([]);
    }
  });

  test('made again while a peer sends all the time: it recovers as soon as the address is back', async () => {
    const a = await createEndpoint(cluster, 'acme', 'db', 'patient', 'h4');
    await quiet(cluster, a);
    const ip = '10.0.1.223';
    const first = await createEndpoint(cluster, 'acme', 'web', 'back-1', 'h1', { ip });
    const pings = await pinging(cluster, { endpoint: a }, ip, 10, 500);
    await sleep(200);
    await remove(first);
    await createEndpoint(cluster, 'acme', 'web', 'back-2', 'h2', { ip });
    // The memory of its absence lasts 100 ms.
    await sleep(150);
    expect(await ping(cluster, { endpoint: a }, ip)).toEqual(allOf(10));
    const { sent, received } = await pings.finish();
    expect(received).toBeLessThan(sent);
  });
});
