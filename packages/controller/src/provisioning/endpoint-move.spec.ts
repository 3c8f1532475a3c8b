import type { Change, Endpoint } from '@megrez/model';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Api } from '../testing/api';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';
import type { Peer } from '../testing/peer';

const web = { vpc: 'acme', subnet: 'web' };
const a = { ...web, name: 'a' };

describe('moving an endpoint', () => {
  let cluster: Cluster;
  let made: Endpoint;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 5, controllers: 2 });
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h3'] });
  });
  afterAll(() => cluster.close());
  beforeEach(async () => {
    made = await cluster.api.call('createEndpoint', { ...a, host: 'h1', ip: '10.0.1.7' });
  });
  afterEach(async () => {
    for (const peer of cluster.peers.values()) peer.hold(false);
    await cluster.api.call('deleteEndpoint', a).catch(() => undefined);
    const left = await remains();
    if (left.length > 0) throw new Error(`something is left: ${left.join(', ')}`);
  });

  const remains = async () =>
    Object.keys(await cluster.dump()).filter((key) => /\/(endpoints|by-host|names|held|moves|macs)\//.test(key));
  const peer = (host: string): Peer => cluster.peers.get(host) as Peer;
  const id = () => `${made.vni}/${made.subnetNumber}/${made.ip}`;
  const at = (host: string): Endpoint | undefined => peer(host).endpoints.get(id())?.value;
  const move = (host: string, fields: object = {}) => cluster.api.call('moveEndpoint', { ...a, host, ...fields });
  /** What a host was told of the endpoint since it had so many batches. */
  const told = (host: string, since: number): Change[] =>
    peer(host)
      .batches.slice(since)
      .flatMap(({ changes }) => changes)
      .filter(({ object }) => object.oneofKind === 'endpoint' && object.endpoint.ip === made.ip);

  it('tells the new host, then the owners, then the old host where it went', async () => {
    const seen = new Map([...cluster.peers].map(([host, { batches }]) => [host, batches.length]));
    peer('h2').hold(true);
    const moving = move('h2');
    await peer('h2').until(() => at('h2') !== undefined);
    expect(at('h2')).toMatchObject({ host: 'h1', movingTo: 'h2' });
    expect(at('h3')).toMatchObject({ host: 'h1', hostAddress: '192.168.0.1' });
    peer('h3').hold(true);
    peer('h2').hold(false);
    for (const host of ['h1', 'h2']) await peer(host).until(() => at(host)?.movedFrom === 'h1');
    expect(at('h2')).toMatchObject({ host: 'h2', movedFrom: 'h1', movingTo: '' });
    peer('h3').hold(false);
    const moved = await moving;
    expect(moved).toMatchObject({ host: 'h2', hostAddress: '192.168.0.2', movingTo: '', movedFrom: '', ip: made.ip });
    expect(moved).toMatchObject({ mac: made.mac, slot: made.slot, meta: { createdAtMs: made.meta?.createdAtMs } });
    for (const host of ['h2', 'h3']) expect(peer(host).endpoints.get(id())?.generation).toBe(moved.meta?.generation);
    const last = told('h1', seen.get('h1') ?? 0).at(-1);
    expect(last).toMatchObject({ deleted: true, generation: moved.meta?.generation });
    expect(last?.object).toMatchObject({ endpoint: { host: 'h2', hostAddress: '192.168.0.2' } });
    expect(at('h1')).toBeUndefined();
    expect(peer('h1').subnets.has(`${made.vni}/${made.subnetNumber}`)).toBe(
      peer('h1')
        .tables.get(`${made.vni}/0`)
        ?.value.owners.some(({ host }) => host === 'h1') ?? false,
    );
    // Nobody else has heard of it.
    for (const host of ['h4', 'h5']) expect(told(host, seen.get(host) ?? 0)).toEqual([]);
    expect(await cluster.api.call('getEndpoint', a)).toEqual(moved);
    const { endpoints } = await cluster.api.call('listEndpoints', { host: 'h1' });
    expect(endpoints).toEqual([]);
    expect(await move('h2')).toEqual(moved);
  });

  it('goes there and back, also from and to a holder of its slot', async () => {
    for (const host of ['h3', 'h2', 'h3', 'h1', 'h1']) {
      expect(await move(host)).toMatchObject({ host });
      expect(at('h3')).toMatchObject({ host });
      for (const other of ['h1', 'h2']) expect(at(other) !== undefined).toBe(other === host);
    }
  });

  it('is refused with a reason, and then nothing has changed', async () => {
    const tap = { kind: { oneofKind: 'tap', tap: { name: 'tap0' } } };
    await cluster.api.call('createEndpoint', { ...web, name: 't', host: 'h1', attachment: tap });
    const before = await cluster.dump();
    const cases: [object, number, string][] = [
      [{ ...a, host: '' }, 3, 'HOST_MISSING'],
      [{ ...a, host: 'h99' }, 5, 'HOST_NOT_FOUND'],
      [{ ...a, name: 'nobody', host: 'h2' }, 5, 'ENDPOINT_NOT_FOUND'],
      [{ ...web, name: 't', host: 'h2' }, 3, 'ATTACHMENT_MISSING'],
      [
        { ...a, host: 'h2', attachment: { kind: { oneofKind: 'tap', tap: { name: 'a/b' } } } },
        3,
        'INVALID_INTERFACE_NAME',
      ],
      [{ ...a, host: 'h2', timeoutMs: 10_000_000 }, 3, 'INVALID_TIMEOUT'],
    ];
    for (const [request, code, reason] of cases) {
      const error = await cluster.api.refused('moveEndpoint', request);
      expect({ request, code: error.code, reason: error.reason }).toEqual({ request, code, reason });
    }
    expect(await cluster.dump()).toEqual(before);
    const other = { kind: { oneofKind: 'tap', tap: { name: 'tap7' } } };
    const moved = await cluster.api.call('moveEndpoint', { ...web, name: 't', host: 'h2', attachment: other });
    expect(moved.attachment).toEqual(other);
    await cluster.api.call('deleteEndpoint', { ...web, name: 't' });
  });

  it('leaves the endpoint where it is when the new host cannot have it', async () => {
    await cluster.peer(4, { refuse: () => ({ reason: 'NETNS_NOT_FOUND', message: 'no such namespace' }) });
    const before = await cluster.dump();
    const error = await cluster.api.refused('moveEndpoint', { ...a, host: 'h4' });
    expect(error).toMatchObject({ code: 9, reason: 'NETNS_NOT_FOUND', hosts: ['h4'] });
    expect(await cluster.dump()).toEqual(before);
    expect(at('h1')).toMatchObject({ host: 'h1', movingTo: '' });
    await cluster.peer(4);
  });

  it('goes on when it is asked for again, at any controller', async () => {
    for (const held of ['h2', 'h3', 'h1']) {
      peer(held).hold(true);
      const error = await cluster.api.refused('moveEndpoint', { ...a, host: 'h2', timeoutMs: 400 });
      expect(error).toMatchObject({ code: 4, reason: 'HOSTS_NOT_READY', hosts: [held] });
      peer(held).hold(false);
      const second = cluster.apiOf(cluster.controllers[1] as never);
      expect(await second.call('moveEndpoint', { ...a, host: 'h2' })).toMatchObject({ host: 'h2', movedFrom: '' });
      expect(at('h1')).toBeUndefined();
      await move('h1');
    }
  });

  it('is gone on with when nobody asks any more', async () => {
    peer('h2').hold(true);
    await cluster.api.refused('moveEndpoint', { ...a, host: 'h2', timeoutMs: 300 });
    peer('h2').hold(false);
    await expect.poll(async () => (await cluster.api.call('getEndpoint', a)).host, { timeout: 20_000 }).toBe('h2');
    await expect.poll(() => at('h1'), { timeout: 10_000 }).toBeUndefined();
  }, 40_000);

  it('is one when many ask for it at once', async () => {
    const apis = cluster.controllers.map((controller) => cluster.apiOf(controller));
    const calls = Array.from({ length: 6 }, (_, n) => (apis[n % 2] as Api).call('moveEndpoint', { ...a, host: 'h2' }));
    for (const moved of await Promise.all(calls))
      expect(moved).toMatchObject({ host: 'h2', movingTo: '', movedFrom: '' });
  });

  it('goes where the last one wants it', async () => {
    peer('h2').hold(true);
    const first = cluster.api.refused('moveEndpoint', { ...a, host: 'h2' });
    await peer('h2').until(() => at('h2') !== undefined);
    const second = move('h4');
    expect(await second).toMatchObject({ host: 'h4' });
    peer('h2').hold(false);
    expect(await first).toMatchObject({ code: 10, reason: 'MOVE_SUPERSEDED' });
    await expect.poll(() => at('h2')).toBeUndefined();
    expect(at('h1')).toBeUndefined();
  });

  it('is called off by a move to where the endpoint still is', async () => {
    peer('h2').hold(true);
    await cluster.api.refused('moveEndpoint', { ...a, host: 'h2', timeoutMs: 300 });
    expect(await move('h1')).toMatchObject({ host: 'h1', movingTo: '' });
    peer('h2').hold(false);
    await expect.poll(() => at('h2')).toBeUndefined();
    expect(at('h1')).toMatchObject({ host: 'h1' });
  });

  it('may end by the deletion of the endpoint, at every step', async () => {
    for (const held of ['h2', 'h3', 'h1']) {
      peer(held).hold(true);
      await cluster.api.refused('moveEndpoint', { ...a, host: 'h2', timeoutMs: 300 });
      peer(held).hold(false);
      await cluster.api.call('deleteEndpoint', a);
      for (const host of ['h1', 'h2', 'h3']) expect(at(host)).toBeUndefined();
      expect(await remains()).toEqual([]);
      await cluster.api.call('createEndpoint', { ...a, host: 'h1', ip: '10.0.1.7' });
    }
  });

  it('away from a detached host must be forced', async () => {
    await move('h5');
    peer('h5').close();
    const before = await cluster.dump();
    const error = await cluster.api.refused('moveEndpoint', { ...a, host: 'h2' });
    expect(error).toMatchObject({ code: 9, reason: 'HOST_DETACHED', hosts: ['h5'] });
    expect(await cluster.dump()).toEqual(before);
    expect(await move('h2', { force: true })).toMatchObject({ host: 'h2' });
    expect(at('h3')).toMatchObject({ hostAddress: '192.168.0.2' });
    expect(await cluster.api.refused('moveEndpoint', { ...a, host: 'h5' })).toMatchObject({
      code: 14,
      reason: 'HOST_DETACHED',
    });
    await cluster.peer(5);
    expect(at('h5')).toBeUndefined();
  }, 40_000);
});
