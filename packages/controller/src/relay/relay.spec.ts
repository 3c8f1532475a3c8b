import { keys, openStore } from '@megrez/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';
import { connectPeer, type Peer } from '../testing/peer';

const web = { vpc: 'acme', subnet: 'web' };
const contents = (peer: Peer | undefined) =>
  [...(peer?.endpoints.values() ?? [])].map(({ value }) => value.name).sort();

describe('the relay', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
    await startAcme(cluster.api, { bouncers: 2, bouncerHosts: ['h2', 'h3'] });
  });
  afterAll(() => cluster.close());

  const server = () => cluster.controllers[0]?.addresses[0] as string;

  it('welcomes an agent with what it needs to begin', () => {
    expect(cluster.peers.get('h1')?.welcome).toMatchObject({
      underlayPrefixes: ['192.168.0.0/16'],
      leases: { softLeaseMs: 5_000, hardLeaseMs: 10_000, checkMs: 60_000 },
    });
    expect(cluster.peers.get('h1')?.welcome.storeId).not.toBe('');
  });

  it('claims a host name for one address and an address for one host', async () => {
    const refused = async (host: string, address: string) =>
      connectPeer({ server: server(), host, address }).then(
        () => undefined,
        (error: { code: number; details: string }) => error,
      );
    expect(await refused('h1', '192.168.0.77')).toMatchObject({ code: 9 });
    expect(await refused('h77', '192.168.0.1')).toMatchObject({ code: 9 });
    expect(await refused('h77', '172.16.0.1')).toMatchObject({ code: 3 });
    expect(await refused('H 77', '192.168.0.77')).toMatchObject({ code: 3 });
    const { hosts } = await cluster.api.call('listHosts', {});
    expect(hosts.map(({ name }) => name)).toEqual(['h1', 'h2', 'h3']);
    expect(hosts.every(({ status }) => status?.attached)).toBe(true);
  });

  it('sends an agent that comes back exactly what there is, whatever happened meanwhile', async () => {
    for (const name of ['a', 'b', 'c']) await cluster.api.call('createEndpoint', { ...web, name, host: 'h1' });
    expect(contents(cluster.peers.get('h2'))).toEqual(['a', 'b', 'c']);
    cluster.peers.get('h1')?.close();
    const ended = cluster.peers.get('h1')?.ended;
    await ended;
    // The stream is gone, the intent goes on: this one waits for the host.
    const waiting = cluster.api.call('createEndpoint', { ...web, name: 'd', host: 'h1', timeoutMs: 20_000 });
    const deleted = cluster.api.call('deleteEndpoint', { ...web, name: 'a', timeoutMs: 20_000 });
    const back = await cluster.peer(1);
    await Promise.all([waiting, deleted]);
    expect(contents(back)).toEqual(['b', 'c', 'd']);
    expect(back.batches.filter(({ snapshotEnd }) => snapshotEnd)).toHaveLength(1);
  });

  it('loses and doubles nothing while agents come and go under load', async () => {
    const load = { over: false };
    const churn = (async () => {
      while (!load.over) {
        const peer = await cluster.peer(2);
        await new Promise((resolve) => setTimeout(resolve, 30));
        if (!load.over) peer.close();
      }
    })();
    const made = new Set(contents(cluster.peers.get('h3')));
    for (let n = 0; n < 60; n += 1) {
      const name = `l${n}`;
      await cluster.api.call('createEndpoint', { ...web, name, host: n % 2 === 0 ? 'h1' : 'h2', timeoutMs: 20_000 });
      made.add(name);
      if (n % 3 !== 0) continue;
      await cluster.api.call('deleteEndpoint', { ...web, name, timeoutMs: 20_000 });
      made.delete(name);
    }
    load.over = true;
    await churn;
    const expected = [...made].sort();
    expect(contents(cluster.peers.get('h2'))).toEqual(expected);
    expect(contents(cluster.peers.get('h3'))).toEqual(expected);
    for (const name of made) await cluster.api.call('deleteEndpoint', { ...web, name });
  }, 60_000);

  it('ends the older session when the host has a newer one', async () => {
    const older = cluster.peers.get('h1') as Peer;
    const newer = await connectPeer({ server: server(), host: 'h1', address: '192.168.0.1' });
    expect(await older.ended).toMatchObject({ code: 14 });
    await cluster.api.call('createEndpoint', { ...web, name: 'n', host: 'h1' });
    expect(contents(newer)).toEqual(['n']);
    await cluster.api.call('deleteEndpoint', { ...web, name: 'n' });
    newer.close();
    await cluster.peer(1);
  });

  it('leaves a silent owner out of waits, and brings it up to date when it speaks again', async () => {
    const silent = cluster.peers.get('h3') as Peer;
    silent.silence(true);
    silent.hold(true);
    await cluster.api.call('createEndpoint', { ...web, name: 'quiet', host: 'h1', timeoutMs: 20_000 });
    expect((await cluster.api.call('getHost', { name: 'h3' })).status?.attached).toBe(false);
    expect((await cluster.api.call('getStatus', {})).problems.join()).toContain('h3');
    const back = await cluster.peer(3);
    expect(contents(back)).toEqual(['quiet']);
    expect((await cluster.api.call('getStatus', {})).problems).toEqual([]);
    await cluster.api.call('deleteEndpoint', { ...web, name: 'quiet' });
  }, 40_000);

  it('withdraws a record of its own that belongs to no session', async () => {
    const store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    const key = keys.session('h1');
    const current = await store.get(key);
    const relay = cluster.peers.get('h1')?.welcome.relay ?? '';
    const value = { host: 'h8', relay, incarnation: 'i', session: 'nobody' };
    await store.txn([], [{ kind: 'put', key: keys.session('h8'), value }]);
    await expect.poll(() => store.get(keys.session('h8')), { timeout: 20_000 }).toBeUndefined();
    expect(await store.get(key)).toEqual(current);
    await store.close();
  }, 30_000);

  it('refuses a stream that does not begin with Hello, and hosts that are in use are not deleted', async () => {
    expect(await cluster.api.refused('deleteHost', { name: 'h2' })).toMatchObject({
      code: 9,
      reason: 'HOST_HAS_SLOTS',
    });
    await cluster.peer(4);
    expect(await cluster.api.refused('deleteHost', { name: 'h4' })).toMatchObject({ code: 9, reason: 'HOST_ATTACHED' });
    expect(await cluster.api.refused('deleteHost', { name: 'h9' })).toMatchObject({ code: 5 });
    const updated = await cluster.api.call('updateHost', { name: 'h1', weight: 50, zone: 'east', ineligible: true });
    expect(updated).toMatchObject({ weight: 50, zone: 'east', ineligible: true, status: { attached: true } });
    expect(
      await cluster.api.refused('createSubnet', {
        vpc: 'acme',
        name: 'p',
        cidrs: ['10.0.9.0/24'],
        bouncerHosts: ['h1'],
      }),
    ).toMatchObject({ code: 9, reason: 'HOST_INELIGIBLE' });
    await cluster.api.call('updateHost', { name: 'h1' });
  });
});
