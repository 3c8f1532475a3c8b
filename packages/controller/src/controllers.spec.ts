import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectApi } from './testing/api';
import { type Cluster, startAcme, startCluster } from './testing/cluster';
import type { Peer } from './testing/peer';
import { spawnController } from './testing/process';

const web = { vpc: 'acme', subnet: 'web' };

describe('several controllers', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 1, controllers: 2 });
    const second = cluster.controllers[1]?.addresses[0] as string;
    await cluster.peer(2, { server: second });
    await cluster.peer(3, {
      server: second,
      refuse: ({ object }) =>
        object.oneofKind === 'endpoint' && object.endpoint.name === 'broken'
          ? { reason: 'MAP_FULL', message: 'no room' }
          : undefined,
    });
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h3'] });
  });
  afterAll(() => cluster.close());

  const [a, b] = [0, 1].map((n) => () => cluster.apiOf(cluster.controllers[n] as never)) as [
    () => Cluster['api'],
    () => Cluster['api'],
  ];

  it('each serve creates for hosts connected to either', async () => {
    for (const [name, api] of [
      ['a', a()],
      ['b', b()],
    ] as const) {
      for (const host of ['h1', 'h2']) {
        const made = await api.call('createEndpoint', { ...web, name: `${name}-${host}`, host });
        const id = `${made.vni}/${made.subnetNumber}/${made.ip}`;
        expect(cluster.peers.get(host)?.endpoints.get(id)?.generation).toBe(made.meta?.generation);
        expect(cluster.peers.get('h3')?.endpoints.get(id)?.generation).toBe(made.meta?.generation);
        const answer = await a().call('resolve', { vpc: 'acme', ip: made.ip, viaBouncer: true });
        expect(answer.answers).toMatchObject([{ host: 'h3', found: true, mac: made.mac, error: '' }]);
      }
    }
    for (const api of [a(), b()]) {
      const { controllers, hosts, problems } = await api.call('getStatus', {});
      expect(controllers.map(({ sessions }) => sessions).sort()).toEqual([1, 2]);
      expect(hosts.map(({ name, status }) => [name, status?.attached, status?.endpoints])).toEqual([
        ['h1', true, 2],
        ['h2', true, 2],
        ['h3', true, 0],
      ]);
      expect(problems).toEqual([]);
    }
  });

  it('see at once what the other has made', async () => {
    await a().call('createSubnet', { vpc: 'acme', name: 'new', cidrs: ['10.0.5.0/24'], bouncerHosts: ['h1'] });
    await b().call('createEndpoint', { vpc: 'acme', subnet: 'new', name: 'x', host: 'h2' });
    await a().call('deleteEndpoint', { vpc: 'acme', subnet: 'new', name: 'x' });
    await b().call('deleteSubnet', { vpc: 'acme', name: 'new' });
    expect(await a().refused('createEndpoint', { vpc: 'acme', subnet: 'new', name: 'x', host: 'h2' })).toMatchObject({
      code: 5,
    });
  });

  it('pass on why a host cannot have an endpoint', async () => {
    const before = await cluster.dump();
    expect(await a().refused('createEndpoint', { ...web, name: 'broken', host: 'h1' })).toMatchObject({
      code: 9,
      reason: 'MAP_FULL',
      hosts: ['h3'],
    });
    expect(await cluster.dump()).toEqual(before);
  });

  it('give an address to one of those who race for it', async () => {
    const racers = Array.from({ length: 10 }, (_, n) =>
      (n % 2 === 0 ? a : b)()
        .call('createEndpoint', { ...web, name: `r${n}`, host: `h${1 + (n % 2)}`, ip: '10.0.1.200' })
        .then(
          () => 0,
          ({ code }: { code: number }) => code,
        ),
    );
    expect((await Promise.all(racers)).sort()).toEqual([0, 6, 6, 6, 6, 6, 6, 6, 6, 6]);
  });

  it('take over when one is killed in the middle of a create: the same request goes on', async () => {
    const doomed = await spawnController({
      listen: ['127.0.0.1:0'],
      etcd: [cluster.etcd.endpoint],
      underlayPrefixes: ['192.168.0.0/16'],
      log: 'silent',
    });
    try {
      await cluster.peer(4, { server: doomed.address });
      const api = connectApi(doomed.address);
      const holder = cluster.peers.get('h3');
      const seen = holder?.batches.length ?? 0;
      holder?.hold(true);
      const request = { ...web, name: 'k', host: 'h4', requestId: 'kill-1', timeoutMs: 20_000 };
      const broken = api.refused('createEndpoint', request);
      await holder?.until(() => holder.batches.length > seen);
      await doomed.kill();
      expect(await broken).toMatchObject({ code: 14 });
      api.close();
      await cluster.peer(4);
      holder?.hold(false);
      const stored = await a().call('getEndpoint', { ...web, name: 'k' });
      expect(await a().call('createEndpoint', request)).toEqual(stored);
      expect(await b().refused('createEndpoint', { ...request, requestId: 'kill-2' })).toMatchObject({ code: 6 });
      expect([...(cluster.peers.get('h4')?.endpoints.values() ?? [])].map(({ value }) => value.name)).toEqual(['k']);
    } finally {
      await doomed.kill();
    }
  }, 60_000);

  it('look again where a host is while its relay gives no answer', async () => {
    const stopped = await spawnController({
      listen: ['127.0.0.1:0'],
      etcd: [cluster.etcd.endpoint],
      underlayPrefixes: ['192.168.0.0/16'],
      log: 'silent',
    });
    try {
      const there = await cluster.peer(4, { server: stopped.address });
      there.hold(true);
      const seen = there.batches.length;
      const waiting = a().call('createEndpoint', { ...web, name: 's', host: 'h4', timeoutMs: 10_000 });
      await there.until(() => there.batches.length > seen);
      stopped.stop();
      await cluster.peer(4);
      expect(await waiting).toMatchObject({ name: 's', host: 'h4' });
    } finally {
      await stopped.kill();
    }
  }, 60_000);

  it('go on when etcd was killed and started again', async () => {
    await cluster.etcd.kill();
    const error = await a().refused('createEndpoint', { ...web, name: 'e', host: 'h1', requestId: 'e' });
    expect(error).toMatchObject({ code: 14, reason: 'STORE_UNAVAILABLE' });
    await cluster.etcd.restart();
    await a().call('createEndpoint', { ...web, name: 'e', host: 'h1', requestId: 'e' });
    await b().call('createEndpoint', { ...web, name: 'f', host: 'h2' });
    const held = cluster.peers.get('h3');
    const { endpoints } = await b().call('listEndpoints', { ...web });
    expect([...(held?.endpoints.values() ?? [])].map(({ value }) => value.name).sort()).toEqual(
      endpoints.map(({ name }) => name).sort(),
    );
    await expect.poll(async () => (await a().call('getStatus', {})).problems, { timeout: 20_000 }).toEqual([]);
  }, 60_000);

  it('end their sessions and give up their key when they stop', async () => {
    const silent = cluster.peers.get('h1') as Peer;
    silent.hold(true);
    const seen = silent.batches.length;
    const waiting = a().refused('createEndpoint', { ...web, name: 'late', host: 'h1', timeoutMs: 20_000 });
    await silent.until(() => silent.batches.length > seen);
    await cluster.controllers[0]?.close();
    expect(await waiting).toMatchObject({ code: 14, reason: 'CONTROLLER_STOPS' });
    await expect.poll(async () => (await b().call('getStatus', {})).controllers.length, { timeout: 10_000 }).toBe(1);
    await cluster.peer(1, { server: cluster.controllers[1]?.addresses[0] as string });
    await b().call('createEndpoint', { ...web, name: 'last', host: 'h1' });
  });
});
