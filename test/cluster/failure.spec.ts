// Behaviours 38 and 40 to 42: hosts, controllers and etcd fail under traffic that is counted. Known paths lose nothing to the
// death of a bouncer; what is unknown is found again in well under a second.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@megrez/client';
import { layout } from '@megrez/dev';
import type { Endpoint } from '@megrez/model';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  createEndpoint,
  createVpc,
  quiet,
  shortLeaseArguments,
  shortLeases,
  type TestCluster,
  up,
} from './harness/cluster';
import { clock_ms, flows } from './harness/flows';
import { expectUnharmed, expectWhole } from './harness/judge';
import { load, type Parties, parties } from './harness/load';
import { recovery_ms, unexcused } from './harness/lookups';
import { footprints } from './harness/observe';
import { attached, cut, die, mend, revive } from './harness/partition';
import { allOf, ping } from './harness/traffic';
import { until } from './harness/until';

let cluster: TestCluster;
let all: Parties;
const hosts = ['h1', 'h2', 'h3', 'h4', 'h5'];
/** Endpoints are here, slots of subnets on the others. */
const users = ['h1', 'h2'];
const vpc = 'acme';

beforeAll(async () => {
  cluster = await up({ hosts: hosts.length, controllers: 2, controllerArguments: shortLeaseArguments });
  await createVpc(cluster, vpc, '10.0.0.0/16', 3);
  for (const [i, name] of ['web', 'db'].entries()) {
    const request = {
      vpc,
      name,
      cidrs: [`10.0.${i + 1}.0/24`],
      bouncers: 3,
      bouncerHosts: ['h3', 'h4', 'h5'],
      requestId: '',
    };
    await cluster.api.createSubnet(request).response;
  }
  all = await parties(cluster, vpc, ['web', 'db'], users);
});

afterAll(() => cluster?.down());

// A test that failed half-way must not fail those after it.
afterEach(async () => {
  for (const name of ['etcd', 'controller-1', 'controller-2', ...hosts]) {
    if (!cluster.isAlive(name)) {
      await cluster.signal('restart', name);
    }
  }
  for (const host of hosts) {
    await mend(cluster, host);
    await attached(cluster, host);
  }
});

describe('38: a bouncer host', () => {
  test.each(['h3', 'h4', 'h5'])('%s dies and comes back: known paths lose nothing, lookups recover', async (host) => {
    const running = await load(cluster, all);
    await sleep(300);
    const died_ms = clock_ms();
    await die(cluster, host);
    await sleep(2500);
    const revived_ms = clock_ms();
    await revive(cluster, host);
    await sleep(500);
    const { account, ...rest } = await running.finish();
    expectWhole({ ...rest, account: { ...account, lost: 0, gaps: [], echoes: { ...account.echoes, lost: 0 } } });
    expect(account.gaps_left_off).toBe(0);
    expect(unexcused(account.gaps, all, [{ from_ms: died_ms, until_ms: revived_ms }])).toEqual([]);
  });

  test('its agent is stopped: it still answers what it knows and calls nothing unknown', async () => {
    await expectUnharmed(cluster, all, async () => {
      await cluster.signal('stop', 'h3');
      await attached(cluster, 'h3', false);
      await sleep(1000);
      expect((await cluster.api.getHost({ name: 'h3' }).response).status?.attached).toBe(false);
      await cluster.signal('restart', 'h3');
      await attached(cluster, 'h3');
    });
  });

  test('what is made while it is away is found without it, and by it alone when it is back', async () => {
    const asker = all.talkers[0] as Endpoint;
    await die(cluster, 'h4');
    await attached(cluster, 'h4', false);
    const make = async (i: number): Promise<Endpoint> => {
      const name = `meanwhile-${i}`;
      // Until the controllers leave h4 out, a create says whom it waits for.
      let made: Endpoint | undefined;
      await until(
        `${name} is made`,
        async () => {
          made = await createEndpoint(cluster, vpc, 'web', name, 'h2', { requestId: name, timeoutMs: 2000 });
        },
        () => made !== undefined,
        { timeout_ms: 40_000 },
      );
      return made as unknown as Endpoint;
    };
    const ownersOf = async ({ ip }: Endpoint) =>
      (await cluster.client.lookup.resolve({ vpc, ip, viaBouncer: false }).response).owners;
    let made = await make(0);
    for (let i = 1; !(await ownersOf(made)).includes('h4'); i += 1) {
      made = await make(i);
    }
    expect(await ping(cluster, { endpoint: asker }, made.ip)).toMatchObject({ received: 10 });
    await revive(cluster, 'h4');
    await until(
      'h4 knows it',
      async () => (await cluster.client.lookup.resolve({ vpc, ip: made.ip, viaBouncer: true }).response).answers,
      (answers) => answers.some(({ host, found }) => host === 'h4' && found),
    );
    const [other] = (await ownersOf(made)).filter((host) => host !== 'h4') as [string];
    await die(cluster, other);
    try {
      // The path is forgotten; whoever asks first finds out that this owner is dead.
      await sleep(shortLeases.hard_ms + 100);
      await ping(cluster, { endpoint: asker }, made.ip, { patience_ms: recovery_ms });
      await sleep(shortLeases.hard_ms + 100);
      expect(await ping(cluster, { endpoint: asker }, made.ip)).toEqual(allOf(10));
    } finally {
      await revive(cluster, other);
    }
  });
});

describe('40: controllers', () => {
  /** Ten minutes by hand: MEGREZ_TEST_AWAY_MS=600000. */
  const away_ms = Number(process.env.MEGREZ_TEST_AWAY_MS ?? 6000);

  test(`all are down for ${away_ms} ms: known paths and lookups lose nothing, and work resumes`, async () => {
    const before = await footprints(cluster);
    await expectUnharmed(cluster, all, async () => {
      for (const name of ['controller-1', 'controller-2']) {
        await cluster.signal('kill', name);
      }
      await sleep(away_ms);
      expect(await footprints(cluster)).toEqual(before);
      for (const name of ['controller-1', 'controller-2']) {
        await cluster.signal('restart', name);
      }
      for (const host of hosts) {
        await attached(cluster, host);
      }
      const made = await createEndpoint(cluster, vpc, 'db', 'resumed', 'h1');
      expect(await ping(cluster, { endpoint: all.talkers[0] as Endpoint }, made.ip)).toEqual(allOf(10));
      await cluster.api.deleteEndpoint({ vpc, subnet: 'db', name: 'resumed', timeoutMs: 0 }).response;
    });
  }, 900_000);
});

/** Every key of etcd since this revision is forgotten, as an operator's compaction does it. */
async function compact(revision: number): Promise<void> {
  const body = JSON.stringify({ revision: String(revision), physical: true });
  const answer = await fetch(`${cluster.etcd}/v3/kv/compaction`, { method: 'POST', body });
  expect(answer.status).toBe(200);
}

const pidOf = (name: string): number =>
  (JSON.parse(readFileSync(join(layout(cluster.dir).processes, `${name}.json`), 'utf8')) as { pid: number }).pid;

const controllerClient = (name: string) =>
  connect(`unix:${layout(cluster.dir).sockets}/${name}.sock`, { deadline_ms: 30_000 });

describe('41: etcd', () => {
  test('killed and started again: nothing lost, and no address is given twice', async () => {
    const clients = ['controller-1', 'controller-2'].map(controllerClient);
    try {
      await expectUnharmed(cluster, all, async () => {
        const create = (i: number) => {
          const request = {
            vpc,
            subnet: 'web',
            name: `twice-${i}`,
            host: users[i % 2] as string,
            ip: '',
            mac: '',
            requestId: `r${i}`,
            timeoutMs: 0,
          };
          const { provisioning } = clients[i % 2] as (typeof clients)[number];
          const attempt = async (left: number): Promise<Endpoint> => {
            try {
              return await provisioning.createEndpoint(request).response;
            } catch (error) {
              if (left === 0) {
                throw error;
              }
              await sleep(200);
              return attempt(left - 1);
            }
          };
          return attempt(100);
        };
        const creations = Array.from({ length: 20 }, (_, i) => create(i));
        await cluster.signal('kill', 'etcd');
        await sleep(1000);
        await cluster.signal('restart', 'etcd');
        const made = await Promise.all(creations);
        expect(new Set(made.map(({ ip }) => ip)).size).toBe(made.length);
        for (const host of hosts) {
          await attached(cluster, host);
        }
        const asker = all.talkers[0] as Endpoint;
        for (const { ip } of made) {
          expect(await ping(cluster, { endpoint: asker }, ip, { count: 1 })).toEqual(allOf(1));
        }
        for (const { name } of made) {
          await cluster.api.deleteEndpoint({ vpc, subnet: 'web', name, timeoutMs: 0 }).response;
        }
      });
    } finally {
      for (const client of clients) {
        client.close();
      }
    }
  });

  test('compacted past the watch of a controller that slept: it and its hosts know the truth again', async () => {
    const other = controllerClient('controller-2');
    const before = await footprints(cluster);
    try {
      await expectUnharmed(cluster, all, async () => {
        await cluster.signal('stop', 'controller-1');
        // Its hosts go to the other one.
        for (const host of hosts) {
          await expect
            .poll(async () => (await other.provisioning.getHost({ name: host }).response).status?.attached, {
              timeout: 30_000,
            })
            .toBe(true);
        }
        const request = { vpc, subnet: 'db', host: 'h2', ip: '', mac: '', requestId: '', timeoutMs: 0 };
        for (let i = 0; i < 10; i += 1) {
          await other.provisioning.createEndpoint({ ...request, name: `slept-${i}` }).response;
          if (i > 0) {
            await other.provisioning.deleteEndpoint({ vpc, subnet: 'db', name: `slept-${i}`, timeoutMs: 0 }).response;
          }
        }
        await compact((await other.provisioning.getStatus({}).response).revision);
        process.kill(pidOf('controller-1'), 'SIGCONT');
        // Agents go to whom they like; the one that slept serves again, and tells the truth.
        await expect
          .poll(
            async () => {
              const { endpoints } = await cluster.api.listEndpoints({
                vpc,
                subnet: 'db',
                host: '',
                pageSize: 0,
                pageToken: '',
              }).response;
              return endpoints.map(({ name }) => name).filter((name) => name.startsWith('slept'));
            },
            { timeout: 30_000 },
          )
          .toEqual(['slept-0']);
        const kept = await cluster.api.getEndpoint({ vpc, subnet: 'db', name: 'slept-0' }).response;
        // Hosts come back to it when the other one goes.
        await cluster.signal('kill', 'controller-2');
        for (const host of hosts) {
          await attached(cluster, host);
        }
        expect(await ping(cluster, { endpoint: all.talkers[0] as Endpoint }, kept.ip)).toEqual(allOf(10));
        await cluster.api.deleteEndpoint({ vpc, subnet: 'db', name: 'slept-0', timeoutMs: 0 }).response;
        await cluster.signal('restart', 'controller-2');
        for (const host of hosts) {
          await attached(cluster, host);
        }
      });
    } finally {
      other.close();
    }
    await expect.poll(() => footprints(cluster), { timeout: 20_000 }).toEqual(before);
  });
});

describe('42: the host of an endpoint', () => {
  test.each(['moved', 'made anew'])(
    'dies, and the endpoint is %s elsewhere: peers recover within a second',
    async (how) => {
      const name = how.replace(' ', '-');
      const place = { vpc, subnet: 'web', name };
      const victim = await createEndpoint(cluster, vpc, 'web', name, 'h5');
      const peers = [all.talkers[0], all.talkers[1]] as readonly Endpoint[];
      await quiet(cluster, victim);
      const account = flows(cluster);
      await account.talker(victim);
      for (const peer of peers) {
        (await account.talker(peer)).to(victim, { rate: 200 });
      }
      await sleep(300);
      await die(cluster, 'h5');
      await attached(cluster, 'h5', false);
      let back: Endpoint | undefined;
      const again = async () => {
        try {
          if (how === 'moved') {
            back = await cluster.api.moveEndpoint({ ...place, host: 'h4', force: true, timeoutMs: 5000 }).response;
          } else {
            await cluster.api
              .deleteEndpoint({ ...place, timeoutMs: 2000 })
              .response.catch((error: { code: string }) => {
                if (error.code !== 'NOT_FOUND' && error.code !== 'DEADLINE_EXCEEDED') {
                  throw error;
                }
              });
            back = await createEndpoint(cluster, vpc, 'web', name, 'h4', {
              ip: victim.ip,
              requestId: 'again',
              timeoutMs: 5000,
            });
          }
          return back.host;
        } catch (error) {
          return String(error);
        }
      };
      await expect.poll(again, { timeout: 60_000, interval: 200 }).toBe('h4');
      const back_ms = clock_ms();
      const endpoint = back as unknown as Endpoint;
      expect(endpoint.ip).toBe(victim.ip);
      await quiet(cluster, endpoint);
      await account.talker(endpoint, { instance: 1 });
      const listening_ms = clock_ms();
      await sleep(1500);
      const seen = await account.finish();
      expect(seen).toMatchObject({ duplicated: 0, misdelivered: 0, strange: 0 });
      const limit_ms = Math.max(listening_ms, back_ms + 1000);
      expect(seen.gaps.filter(({ end_ms }) => end_ms > limit_ms)).toEqual([]);
      for (const peer of peers) {
        expect(await ping(cluster, { endpoint: peer }, victim.ip)).toEqual(allOf(10));
      }
      // The dead host comes back with all it had, and answers for nothing that is not its own any more.
      await revive(cluster, 'h5');
      expect(await ping(cluster, { endpoint: peers[0] as Endpoint }, victim.ip, { count: 100 })).toEqual(allOf(100));
      await cluster.api.deleteEndpoint({ ...place, timeoutMs: 0 }).response;
    },
  );

  test('a host that is cut off but lives is not taken for dead by its own endpoints', async () => {
    const pair = await Promise.all(['x', 'y'].map((name) => createEndpoint(cluster, vpc, 'db', `alone-${name}`, 'h1')));
    const [x, y] = pair as [Endpoint, Endpoint];
    expect(await ping(cluster, { endpoint: x }, y.ip)).toEqual(allOf(10));
    await cut(cluster, 'h1');
    expect(await ping(cluster, { endpoint: x }, y.ip)).toEqual(allOf(10));
    await mend(cluster, 'h1');
    await expect
      .poll(() => ping(cluster, { endpoint: x }, all.rare[2]?.ip ?? '', { count: 1, patience_ms: 500 }), {
        timeout: 5000,
      })
      .toEqual(allOf(1));
  });
});
