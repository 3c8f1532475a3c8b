// Behaviours 36 and 37: bouncers and dividers are added, removed, emptied and balanced under traffic of every kind, and no
// packet notices.
import { connect } from '@megrez/client';
import { layout } from '@megrez/dev';
import { JobState } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createVpc, shortLeaseArguments, type TestCluster, up } from './harness/cluster';
import { done, expectBalanced, expectUnharmed } from './harness/judge';
import { type Parties, parties } from './harness/load';
import { attached } from './harness/partition';
import { holdersOf, movesBetween, settled, shardsOf } from './harness/shards';

let cluster: TestCluster;
let all: Parties;
const hosts = ['h1', 'h2', 'h3', 'h4', 'h5'];
const vpc = 'acme';

beforeAll(async () => {
  cluster = await up({ hosts: hosts.length, controllers: 2, controllerArguments: shortLeaseArguments });
  await createVpc(cluster, vpc, '10.0.0.0/16', 2);
  for (const [i, name] of ['web', 'db'].entries()) {
    const request = { vpc, name, cidrs: [`10.0.${i + 1}.0/24`], bouncers: 2, bouncerHosts: [], requestId: '' };
    await cluster.api.createSubnet(request).response;
  }
  all = await parties(cluster, vpc, ['web', 'db'], hosts);
});

afterAll(() => cluster?.down());

const shard = () => cluster.client.shard;

const bouncers = (count: number, bouncerHosts: string[] = []) =>
  cluster.api.updateSubnet({ vpc, name: 'web', bouncers: count, bouncerHosts }).response;

describe('36: other numbers', () => {
  test('bouncers grow and shrink: nothing lost, balanced, the fewest moves', async () => {
    const first = await shardsOf(cluster, vpc, 'web');
    expectBalanced(first, 2);
    await expectUnharmed(cluster, all, async () => {
      let before = holdersOf(first);
      let owners = 2;
      for (const count of [3, 5, 4, 2, 1, 2]) {
        await bouncers(count);
        const shards = await settled(cluster, vpc, 'web', count);
        expectBalanced(shards, count);
        const after = holdersOf(shards);
        const moves = movesBetween(before, after);
        const [was, is] = [owners, count].map((n) => 256 * Math.min(2, n)) as [number, number];
        // Growing: what the new ones hold in the end. Shrinking: what those that go held, and must be held elsewhere.
        const least =
          count > owners
            ? Math.ceil(((count - owners) * is) / count)
            : Math.ceil((owners - count) * (was / owners)) - (was - is);
        expect(moves, `from ${owners} to ${count}`).toBeLessThanOrEqual(least + count);
        before = after;
        owners = count;
      }
    });
  });

  test('dividers grow and shrink: nothing lost', async () => {
    const first = await shardsOf(cluster, vpc, '');
    expectBalanced(first, 2);
    expect(new Set(first.map(({ entries }) => entries)), 'both know all subnets').toEqual(new Set([2]));
    await expectUnharmed(cluster, all, async () => {
      for (const count of [3, 5, 1, 2]) {
        await cluster.api.updateVpc({ name: vpc, dividers: count }).response;
        expectBalanced(await settled(cluster, vpc, '', count), count);
      }
    });
  });

  test('bouncers are put on the hosts named, and from there to others', async () => {
    await expectUnharmed(cluster, all, async () => {
      for (const pinned of [
        ['h1', 'h2'],
        ['h4', 'h5'],
        ['h5', 'h1', 'h3'],
      ]) {
        await bouncers(pinned.length, pinned);
        await expect
          .poll(async () => (await settled(cluster, vpc, 'web', pinned.length)).map(({ host }) => host).sort(), {
            timeout: 30_000,
          })
          .toEqual([...pinned].sort());
      }
      await bouncers(2);
      await settled(cluster, vpc, 'web', 2);
    });
  });
});

describe('37: drain, undrain, rebalance, move', () => {
  test('a balanced cluster has nothing to do', async () => {
    await done(shard().rebalance({ vpc: '', subnet: '' }));
    const { moves } = await shard().planRebalance({ vpc: '', subnet: '' }).response;
    expect(moves).toEqual([]);
    expect(await done(shard().rebalance({ vpc: '', subnet: '' }))).toMatchObject({ total: 0, done: 0 });
  });

  test('every host is drained and comes back: nothing lost, nothing of it left, its endpoints stay', async () => {
    await expectUnharmed(cluster, all, async () => {
      for (const host of hosts) {
        const mine = await cluster.api.listEndpoints({ vpc, subnet: '', host, pageSize: 0, pageToken: '' }).response;
        await done(shard().drain({ host }));
        const left = (await shard().listShards({ vpc: '', subnet: '', host, withoutEntries: true }).response).shards;
        expect(left.filter(({ slots }) => slots.length > 0)).toEqual([]);
        expect((await cluster.api.getHost({ name: host }).response).ineligible).toBe(true);
        const now = await cluster.api.listEndpoints({ vpc, subnet: '', host, pageSize: 0, pageToken: '' }).response;
        expect(now.endpoints.map(({ name }) => name)).toEqual(mine.endpoints.map(({ name }) => name));
        for (const subnet of ['', 'web', 'db']) {
          expectBalanced(await settled(cluster, vpc, subnet, 2), 2);
        }
        await done(shard().undrain({ host }));
        expect((await cluster.api.getHost({ name: host }).response).ineligible).toBe(false);
      }
    });
    for (const subnet of ['', 'web', 'db']) {
      expectBalanced(await settled(cluster, vpc, subnet, 2), 2);
    }
  });

  test('slots are moved by hand, and a rebalance says what it would do, does that, and no more', async () => {
    await expectUnharmed(cluster, all, async () => {
      const before = await shardsOf(cluster, vpc, 'web');
      const owners = before.map(({ host }) => host);
      const to = hosts.find((host) => !owners.includes(host)) as string;
      const slots = Array.from({ length: 40 }, (_, i) => i * 5);
      const moved = await done(shard().moveSlots({ vpc, subnet: 'web', slots, to, from: owners[0] ?? '' }));
      expect(moved.done).toBe(moved.total);
      const third = (await shardsOf(cluster, vpc, 'web')).find(({ host }) => host === to);
      expect(new Set(third?.slots)).toEqual(new Set(slots));
      const plan = await shard().planRebalance({ vpc, subnet: 'web' }).response;
      expect(plan.moves.length).toBeGreaterThan(0);
      const unbalanced = holdersOf(await shardsOf(cluster, vpc, 'web'));
      const balanced = await done(shard().rebalance({ vpc, subnet: 'web' }));
      expect(balanced.total).toBe(plan.moves.length);
      const shards = await settled(cluster, vpc, 'web', 2);
      expectBalanced(shards, 2);
      expect(movesBetween(unbalanced, holdersOf(shards))).toBe(plan.moves.length);
    });
  });

  test('a drain is paused, resumed, cancelled', async () => {
    await expectUnharmed(cluster, all, async () => {
      const host = (await shardsOf(cluster, vpc, 'web'))[0]?.host ?? '';
      const call = shard().drain({ host });
      const seen: JobState[] = [];
      let paused = false;
      for await (const { job } of call.responses) {
        seen.push(job?.state ?? JobState.UNSPECIFIED);
        if (!paused && job) {
          paused = true;
          await shard().pauseJob({ job: job.id }).response;
          await shard().resumeJob({ job: job.id }).response;
        }
      }
      expect(seen.at(-1)).toBe(JobState.DONE);
      await done(shard().undrain({ host }));
      await settled(cluster, vpc, 'web', 2);
      const again = shard().drain({ host });
      let cancelled: JobState | undefined;
      let asked = false;
      for await (const { job } of again.responses) {
        cancelled = job?.state;
        if (!asked && job) {
          asked = true;
          // It may be done already: then there is nothing to cancel, and it says so.
          await shard()
            .cancelJob({ job: job.id })
            .response.catch(() => undefined);
        }
      }
      expect([JobState.CANCELLED, JobState.DONE]).toContain(cancelled);
      const { ineligible } = await cluster.api.getHost({ name: host }).response;
      expect(ineligible).toBe(cancelled === JobState.DONE);
      if (ineligible) {
        await done(shard().undrain({ host }));
      }
      await settled(cluster, vpc, 'web', 2);
    });
  });

  test('what cannot be is refused with its reason, and changes nothing', async () => {
    await expect(done(shard().drain({ host: 'h9' }))).rejects.toMatchObject({ code: 'NOT_FOUND', object: 'host h9' });
    await expect(done(shard().undrain({ host: 'h9' }))).rejects.toMatchObject({ code: 'NOT_FOUND', object: 'host h9' });
    await expect(shardsOf(cluster, 'nobody', '')).rejects.toMatchObject({ code: 'NOT_FOUND', object: 'vpc nobody' });
    const move = (more: object) =>
      done(shard().moveSlots({ vpc, subnet: 'web', slots: [1], to: 'h1', from: '', ...more }));
    await expect(move({ to: 'h9' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('h9'),
    });
    await expect(move({ slots: [256] })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(move({ subnet: 'nothing' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    // The last eligible host stays.
    const drained: string[] = [];
    try {
      for (const host of hosts.slice(0, -1)) {
        await done(shard().drain({ host }));
        drained.push(host);
      }
      const last = hosts.at(-1) as string;
      await expect(done(shard().drain({ host: last }))).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        reason: 'LAST_ELIGIBLE_HOST',
      });
    } finally {
      for (const host of drained) {
        await done(shard().undrain({ host }));
      }
    }
    for (const subnet of ['', 'web', 'db']) {
      await settled(cluster, vpc, subnet, 2);
    }
  });

  test.each(['controller-1', 'controller-2'])('%s is killed in the middle of a drain: it completes', async (victim) => {
    const other = victim === 'controller-1' ? 'controller-2' : 'controller-1';
    const client = connect(`unix:${layout(cluster.dir).sockets}/${other}.sock`, { deadline_ms: 30_000 });
    try {
      await expectUnharmed(cluster, all, async () => {
        const host = (await shardsOf(cluster, vpc, 'db'))[0]?.host ?? '';
        let job = 0;
        for await (const progress of client.shard.drain({ host }).responses) {
          job = progress.job?.id ?? 0;
          break;
        }
        await cluster.signal('kill', victim);
        const finished = await done(client.shard.watchProgress({ vpc: '', subnet: '', job }));
        expect(finished.job).toMatchObject({ id: job, host });
        await cluster.signal('restart', victim);
        for (const name of hosts) {
          await attached(cluster, name);
        }
        await done(client.shard.undrain({ host }));
      });
      for (const subnet of ['', 'web', 'db']) {
        expectBalanced(await settled(cluster, vpc, subnet, 2), 2);
      }
    } finally {
      client.close();
    }
  });
});

test('endpoints made and deleted while slots move are found where they are, and gone where they were', async () => {
  const make = (name: string, host: string) =>
    cluster.api.createEndpoint({ vpc, subnet: 'web', name, host, ip: '', mac: '', requestId: '', timeoutMs: 0 })
      .response;
  await expectUnharmed(cluster, all, async () => {
    let isOver = false;
    const churn = (async () => {
      for (let i = 0; !isOver; i += 1) {
        const made = await make(`churn-${i}`, hosts[i % hosts.length] as string);
        const { answers } = await cluster.client.lookup.resolve({ vpc, ip: made.ip, viaBouncer: true }).response;
        expect(answers.some(({ found }) => found)).toBe(true);
        await cluster.api.deleteEndpoint({ vpc, subnet: 'web', name: made.name, timeoutMs: 0 }).response;
      }
    })();
    try {
      for (const count of [4, 2, 3, 2]) {
        await bouncers(count);
        await settled(cluster, vpc, 'web', count);
      }
    } finally {
      isOver = true;
      await churn;
    }
  });
});
