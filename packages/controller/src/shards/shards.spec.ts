import { JobState, SlotState } from '@megrez/model';
import { keys, openStore, type Store } from '@megrez/store';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';
import { heldRight, settled } from '../testing/settled';
import { connectShards, type Shards } from '../testing/shards';

const web = { vpc: 'acme', subnet: 'web' };

describe('slots that move', () => {
  let cluster: Cluster;
  let store: Store;
  let shards: Shards;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 4 });
    store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    shards = connectShards(cluster.controllers[0]?.addresses[0] as string);
    await startAcme(cluster.api, { bouncers: 2 });
    for (let n = 0; n < 40; n += 1) {
      await cluster.api.call('createEndpoint', { ...web, name: `e${n}`, host: `h${1 + (n % 4)}` });
    }
  });
  // A test that failed half-way must not fail those after it.
  afterEach(() => {
    for (const peer of cluster.peers.values()) peer.hold(false);
  });
  afterAll(async () => {
    shards.close();
    await store.close();
    await cluster.close();
  });

  const ownersOf = async (): Promise<string[]> => {
    const { shards: parts } = await shards.call('listShards', web);
    return parts.filter(({ slots }) => slots.length > 0).map(({ host }) => host);
  };

  it('are listed with what they hold', async () => {
    const { shards: parts } = await shards.call('listShards', web);
    expect(parts.map(({ slots }) => slots.length)).toEqual([256, 256]);
    expect(parts.map(({ primarySlots }) => primarySlots)).toEqual([128, 128]);
    expect(parts.map(({ entries }) => entries)).toEqual([40, 40]);
    expect(parts.every(({ epoch, attached }) => epoch === 1 && attached)).toBe(true);
    const all = (await shards.call('listShards')).shards;
    expect(all.filter(({ subnet }) => subnet === '').map(({ entries }) => entries)).toEqual([1, 1]);
    expect(await shards.refused('listShards', { vpc: 'nobody' })).toMatchObject({ code: 5, reason: 'VPC_NOT_FOUND' });
    expect(await shards.refused('listShards', { subnet: 'web' })).toMatchObject({ code: 3 });
    expect(await shards.refused('listShards', { host: 'h9' })).toMatchObject({ code: 5, reason: 'HOST_NOT_FOUND' });
  });

  it('leave a host that is drained, and only that', async () => {
    const [drained = '', other = ''] = await ownersOf();
    const told = await shards.run('drain', { host: drained });
    const last = told.at(-1);
    expect(told[0]?.job?.id).toBe(last?.job?.id);
    expect(last).toMatchObject({ job: { state: JobState.DONE }, moving: [], waiting: [] });
    expect(last?.done).toBe(last?.total);
    expect(last?.total).toBeGreaterThanOrEqual(256);
    expect(
      told
        .flatMap(({ moving }) => moving)
        .every(({ from, why }) => from === drained && why === `${drained} is drained`),
    ).toBe(true);
    const load = await settled(cluster, store);
    expect(load.get(drained)).toBeUndefined();
    expect(await ownersOf()).toContain(other);
    expect((await cluster.api.call('getHost', { name: drained })).ineligible).toBe(true);
  });

  it('do not come to a host because it is there', async () => {
    const before = await store.get(keys.slots(1, 1));
    await cluster.peer(5);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await store.get(keys.slots(1, 1)))?.value.slots).toEqual(before?.value.slots);
  });

  it('follow the number of bouncers and dividers', async () => {
    await cluster.api.call('updateSubnet', { vpc: 'acme', name: 'web', bouncers: 3 });
    await cluster.api.call('updateVpc', { name: 'acme', dividers: 3 });
    const told = await shards.run('watchProgress', { vpc: 'acme' });
    expect(told.at(-1)).toMatchObject({ moving: [], waiting: [] });
    expect(await ownersOf()).toHaveLength(3);
    expect(
      (await shards.call('listShards', { vpc: 'acme' })).shards.filter(
        ({ subnet, slots }) => subnet === '' && slots.length > 0,
      ),
    ).toHaveLength(3);
    await settled(cluster, store);
    await cluster.api.call('updateSubnet', { vpc: 'acme', name: 'web', bouncers: 2 });
    await cluster.api.call('updateVpc', { name: 'acme', dividers: 2 });
    await shards.run('watchProgress', { vpc: 'acme' });
    expect(await ownersOf()).toHaveLength(2);
    await settled(cluster, store);
  });

  it('go to pinned hosts', async () => {
    await cluster.api.call('updateSubnet', { vpc: 'acme', name: 'web', bouncers: 2, bouncerHosts: ['h4', 'h5'] });
    await shards.run('watchProgress', web);
    expect(await ownersOf()).toEqual(['h4', 'h5']);
    expect(await shards.refused('drain', { host: 'h4' })).toMatchObject({ code: 9, reason: 'HOST_PINNED' });
    await cluster.api.call('updateSubnet', { vpc: 'acme', name: 'web', bouncers: 2 });
    await settled(cluster, store);
  });

  it('come back when a host is undrained', async () => {
    const drained = (await cluster.api.call('listHosts', {})).hosts.find(({ ineligible }) => ineligible)?.name;
    for (let n = 0; n < 6; n += 1) {
      await cluster.api.call('createSubnet', {
        vpc: 'acme',
        name: `s${n}`,
        cidrs: [`10.0.${10 + n}.0/24`],
        bouncers: 2,
      });
    }
    const plan = await shards.call('planRebalance');
    const told = await shards.run('undrain', { host: drained });
    expect(told.at(-1)?.job).toMatchObject({ state: JobState.DONE });
    const load = await settled(cluster, store);
    expect(load.get(drained ?? '')).toBeGreaterThanOrEqual(512);
    expect(plan.moves.every(({ to }) => to !== drained)).toBe(true);
    expect((await shards.call('planRebalance')).moves).toEqual([]);
    expect(await shards.refused('undrain', { host: drained })).toMatchObject({ code: 9, reason: 'NOT_DRAINED' });
  });

  it('move by hand, and stay there until a rebalance', async () => {
    const [a = '', b = ''] = await ownersOf();
    const to = ['h1', 'h2', 'h3', 'h4', 'h5'].find((host) => host !== a && host !== b) ?? '';
    const told = await shards.run('moveSlots', { ...web, slots: [3, 7, 255], to });
    expect(told.at(-1)).toMatchObject({ total: 3, done: 3, job: { state: JobState.DONE } });
    const moved = (await shards.call('listShards', { ...web, host: to })).shards[0];
    expect(moved?.slots).toEqual([3, 7, 255]);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await shards.call('listShards', { ...web, host: to })).shards[0]?.slots).toEqual([3, 7, 255]);
    await heldRight(cluster, store);
    expect(await shards.refused('moveSlots', { ...web, slots: [256], to })).toMatchObject({
      code: 3,
      reason: 'INVALID_SLOT',
    });
    expect(await shards.refused('moveSlots', { ...web, slots: [3], to: 'h9' })).toMatchObject({
      code: 5,
      reason: 'HOST_NOT_FOUND',
    });
    const holders = (await shards.call('listShards', web)).shards.filter(({ slots }) => slots.includes(3));
    const [other = '', left = ''] = [a, b].sort((host) => (holders.some((shard) => shard.host === host) ? -1 : 1));
    const again = (from: string, where: string) => shards.refused('moveSlots', { ...web, slots: [3], from, to: where });
    expect(await again(left, 'h1')).toMatchObject({ code: 9, reason: 'NOT_A_HOLDER' });
    expect(await again(to, other)).toMatchObject({ code: 9, reason: 'ALREADY_A_HOLDER' });
    expect(await shards.refused('moveSlots', { ...web, to })).toMatchObject({ code: 3, reason: 'SLOTS_MISSING' });
    const plan = await shards.call('planRebalance', web);
    expect(plan.moves).toHaveLength(3);
    expect(plan.moves.every(({ from }) => from === to)).toBe(true);
    await shards.run('rebalance', web);
    expect(await ownersOf()).toEqual([a, b]);
    await settled(cluster, store);
  });

  it('are refused in clear words', async () => {
    expect(await shards.refused('drain', { host: 'h9' })).toMatchObject({ code: 5, reason: 'HOST_NOT_FOUND' });
    expect(await shards.refused('drain', {})).toMatchObject({ code: 3 });
    expect(await shards.refused('rebalance', { vpc: 'acme', subnet: 'nothing' })).toMatchObject({ code: 5 });
    expect(await shards.refused('watchProgress', { job: 999 })).toMatchObject({ code: 5, reason: 'JOB_NOT_FOUND' });
    expect(await shards.refused('cancelJob', { job: 1 })).toMatchObject({ code: 9, reason: 'JOB_ENDED' });
    expect(await shards.refused('pauseJob', { job: 1 })).toMatchObject({ code: 9, reason: 'NOT_RUNNING' });
  });

  it('wait for a paused job, go on with a resumed one, stop with a cancelled one', async () => {
    const [drained = ''] = await ownersOf();
    for (const peer of cluster.peers.values()) peer.hold(true);
    const job = await shards.start('drain', { host: drained });
    await expect
      .poll(async () => (await shards.call('listShards')).shards.some(({ loadingSlots }) => loadingSlots > 0), {
        timeout: 20_000,
      })
      .toBe(true);
    expect((await shards.start('drain', { host: drained })).id).toBe(job.id);
    expect((await shards.call('pauseJob', { job: job.id })).state).toBe(JobState.PAUSED);
    expect((await shards.call('resumeJob', { job: job.id })).state).toBe(JobState.RUNNING);
    expect((await shards.call('cancelJob', { job: job.id })).state).toBe(JobState.CANCELLING);
    for (const peer of cluster.peers.values()) peer.hold(false);
    expect((await shards.ended(job.id)).state).toBe(JobState.CANCELLED);
    expect((await cluster.api.call('getHost', { name: drained })).ineligible).toBe(false);
    expect(await ownersOf()).toContain(drained);
    await heldRight(cluster, store);
  });

  it('have one rebalance at a time', async () => {
    await shards.run('moveSlots', { ...web, slots: [1, 2], to: (await unused())[0] });
    for (const peer of cluster.peers.values()) peer.hold(true);
    const job = await shards.start('rebalance', {});
    const second = await shards.refused('rebalance', web);
    expect(second).toMatchObject({ code: 9, reason: 'JOB_RUNNING' });
    expect(second.message).toContain(`job ${job.id}`);
    for (const peer of cluster.peers.values()) peer.hold(false);
    expect((await shards.ended(job.id)).state).toBe(JobState.DONE);
    await settled(cluster, store);
  });

  const unused = async (): Promise<string[]> => {
    const owners = await ownersOf();
    return [...cluster.peers.keys()].filter((host) => !owners.includes(host));
  };

  it('keep creations right while they move', async () => {
    let made = 0;
    let moving = true;
    const creating = (async () => {
      for (; moving; made += 1) {
        const { ip, vni, slot } = await cluster.api.call('createEndpoint', { ...web, name: `n${made}`, host: 'h1' });
        const table = (await store.get(keys.slots(vni, 1)))?.value;
        const serving = table?.slots[slot]?.holders.filter(({ state }) => state === SlotState.SERVING) ?? [];
        for (const { owner } of serving) {
          expect(cluster.peers.get(table?.owners[owner]?.host ?? '')?.endpoints.has(`${vni}/1/${ip}`)).toBe(true);
        }
      }
    })();
    for (let turn = 0; turn < 4; turn += 1) {
      const [host = ''] = await ownersOf();
      await shards.run('drain', { host });
      await shards.run('undrain', { host });
    }
    moving = false;
    await creating;
    expect(made).toBeGreaterThan(10);
    await settled(cluster, store);
  });

  it('leave owners that are forgotten when nobody asks them any more', async () => {
    const stubs = async (): Promise<number> =>
      (await shards.call('listShards')).shards.filter(({ slots }) => slots.length === 0).length;
    await expect.poll(stubs, { timeout: 20_000 }).toBe(0);
  }, 30_000);

  it('cannot leave the last host', async () => {
    for (const host of ['h1', 'h2', 'h3', 'h4']) await shards.run('drain', { host });
    expect(await ownersOf()).toEqual(['h5']);
    expect(await shards.refused('drain', { host: 'h5' })).toMatchObject({ code: 9, reason: 'LAST_ELIGIBLE_HOST' });
    expect((await cluster.api.call('getHost', { name: 'h5' })).ineligible).toBe(false);
    await heldRight(cluster, store);
  });
});
