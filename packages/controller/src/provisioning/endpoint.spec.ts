import { keys, openStore } from '@megrez/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

const web = { vpc: 'acme', subnet: 'web' };

describe('endpoints', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 5 });
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h3'] });
    await cluster.api.call('createSubnet', {
      vpc: 'acme',
      name: 'wide',
      cidrs: ['10.0.2.0/24'],
      bouncers: 2,
      bouncerHosts: ['h3', 'h4'],
    });
  });
  afterAll(() => cluster.close());

  const received = () => [...cluster.peers.values()].map(({ batches }) => batches.length);
  const since = (before: number[]) => received().map((count, i) => count - (before[i] ?? 0));

  it('are created at their host and the holders of their slot, and nobody else hears of them', async () => {
    const before = received();
    const endpoint = await cluster.api.call('createEndpoint', { ...web, name: 'a', host: 'h1', ip: '10.0.1.7' });
    expect(endpoint).toMatchObject({ ip: '10.0.1.7', mac: '02:4d:0a:00:01:07', hostAddress: '192.168.0.1' });
    expect(since(before)).toEqual([1, 0, 1, 0, 0]);
    for (const host of ['h1', 'h3']) {
      const kept = cluster.peers.get(host)?.endpoints.get(`${endpoint.vni}/${endpoint.subnetNumber}/10.0.1.7`);
      expect(kept?.generation).toBe(endpoint.meta?.generation);
    }
  });

  it('cost R + 1 messages with R holders, 0 to every other host, and as many for each further one', async () => {
    for (const name of ['w1', 'w2', 'w3']) {
      const before = received();
      await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'wide', name, host: 'h2' });
      expect(since(before)).toEqual([0, 1, 1, 1, 0]);
    }
    const before = received();
    await cluster.api.call('deleteEndpoint', { vpc: 'acme', subnet: 'wide', name: 'w1' });
    expect(since(before)).toEqual([0, 1, 1, 1, 0]);
    for (const name of ['w2', 'w3']) await cluster.api.call('deleteEndpoint', { vpc: 'acme', subnet: 'wide', name });
    // The last one gone, the host is told to forget the subnet too.
    const subnets = [...(cluster.peers.get('h2')?.subnets.values() ?? [])].map(({ value }) => value.name);
    expect(subnets).not.toContain('wide');
  });

  it('are found by their own name only, whoever has the address of one that went a moment ago', async () => {
    const { vni, subnetNumber } = await cluster.api.call('createEndpoint', { ...web, name: 'heir', host: 'h1' });
    const store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    const index = await store.get(keys.name(vni, subnetNumber, 'heir'));
    // What a call reads that looked at the name just before the endpoint went.
    const old = keys.name(vni, subnetNumber, 'went');
    await store.txn([], [{ kind: 'put', key: old, value: index?.value as never }]);
    for (const method of ['getEndpoint', 'deleteEndpoint'] as const) {
      expect(await cluster.api.refused(method, { ...web, name: 'went' })).toMatchObject({ code: 5 });
    }
    await store.txn([], [{ kind: 'remove', key: old }]);
    await store.close();
    await cluster.api.call('deleteEndpoint', { ...web, name: 'heir' });
  });

  it('cost one etcd txn each', async () => {
    const controller = await cluster.controller({ metrics: '127.0.0.1:0' });
    const counted = async (): Promise<Record<string, number>> => {
      const text = await (await fetch(`http://${controller.metrics}/metrics`)).text();
      const lines = [...text.matchAll(/^megrez_store_operations\{kind="(requests_\w+)"\} (\d+)$/gm)];
      return Object.fromEntries(lines.map(([, kind = '', count]) => [kind, Number(count)]));
    };
    const api = cluster.apiOf(controller);
    const before = await counted();
    for (let n = 0; n < 10; n += 1)
      await api.call('createEndpoint', { ...web, name: `t${n}`, host: 'h1', ip: `10.0.1.${20 + n}` });
    expect(await counted()).toEqual({ ...before, requests_txn: (before.requests_txn ?? 0) + 10 });
    for (let n = 0; n < 10; n += 1) await api.call('deleteEndpoint', { ...web, name: `t${n}` });
  });

  it('leave nothing in the store when they are deleted', async () => {
    const before = await cluster.dump();
    await cluster.api.call('createEndpoint', { ...web, name: 'gone', host: 'h2', mac: '02:11:22:33:44:55' });
    expect(Object.keys(await cluster.dump()).length).toBe(Object.keys(before).length + 4);
    await cluster.api.call('deleteEndpoint', { ...web, name: 'gone' });
    expect(await cluster.dump()).toEqual(before);
    expect(await cluster.api.refused('deleteEndpoint', { ...web, name: 'gone' })).toMatchObject({
      code: 5,
      reason: 'ENDPOINT_NOT_FOUND',
      object: 'endpoint acme/web/gone',
    });
  });

  it('are refused with a reason, and nothing is left half-made', async () => {
    await cluster.api.call('createEndpoint', {
      ...web,
      name: 'taken',
      host: 'h1',
      ip: '10.0.1.9',
      mac: '02:00:00:00:00:09',
    });
    const before = await cluster.dump();
    const x = { ...web, name: 'x', host: 'h1' };
    const cases: [object, number, string][] = [
      [{ ...x, name: '' }, 3, 'NAME_MISSING'],
      [{ ...x, name: 'Bad_Name' }, 3, 'INVALID_NAME'],
      [{ ...x, vpc: 'other' }, 5, 'VPC_NOT_FOUND'],
      [{ ...x, subnet: 'other' }, 5, 'SUBNET_NOT_FOUND'],
      [{ ...x, host: 'h99' }, 5, 'HOST_NOT_FOUND'],
      [{ ...x, host: '' }, 3, 'HOST_MISSING'],
      [{ ...x, ip: 'nonsense' }, 3, 'INVALID_ADDRESS'],
      [{ ...x, ip: '10.9.9.9' }, 3, 'ADDRESS_OUTSIDE_SUBNET'],
      [{ ...x, ip: '10.0.1.0' }, 3, 'ADDRESS_IS_NETWORK'],
      [{ ...x, ip: '10.0.1.1' }, 3, 'ADDRESS_IS_GATEWAY'],
      [{ ...x, ip: '10.0.1.255' }, 3, 'ADDRESS_IS_BROADCAST'],
      [{ ...x, ip: '10.0.1.9' }, 6, 'ADDRESS_IN_USE'],
      [{ ...x, name: 'taken', ip: '10.0.1.10' }, 6, 'NAME_IN_USE'],
      [{ ...x, mac: '02:00:00:00:00:09' }, 6, 'MAC_IN_USE'],
      [{ ...x, mac: 'zz' }, 3, 'INVALID_MAC'],
      [{ ...x, mac: '01:00:00:00:00:01' }, 3, 'INVALID_MAC'],
      [{ ...x, timeoutMs: 10_000_000 }, 3, 'INVALID_TIMEOUT'],
      [{ ...x, requestId: 'with space' }, 3, 'INVALID_REQUEST_ID'],
      [
        { ...x, attachment: { kind: { oneofKind: 'netns', netns: { path: 'relative', interface: '' } } } },
        3,
        'INVALID_PATH',
      ],
    ];
    for (const [request, code, reason] of cases) {
      const error = await cluster.api.refused('createEndpoint', request);
      expect({ request, code: error.code, reason: error.reason }).toEqual({ request, code, reason });
      expect(error.message).not.toBe('');
      expect(error.object).not.toBe('');
    }
    expect(await cluster.dump()).toEqual(before);
    await cluster.api.call('deleteEndpoint', { ...web, name: 'taken' });
  });

  it('answer a repeated request with the first result, and refuse another of the same name', async () => {
    const request = { ...web, name: 'again', host: 'h1', requestId: 'r-1' };
    const first = await cluster.api.call('createEndpoint', request);
    expect(await cluster.api.call('createEndpoint', request)).toEqual(first);
    expect(await cluster.api.refused('createEndpoint', { ...request, requestId: 'r-2' })).toMatchObject({
      code: 6,
      reason: 'NAME_IN_USE',
    });
    await cluster.api.call('deleteEndpoint', { ...web, name: 'again' });
  });

  it('go to exactly one of those who race for an address', async () => {
    const racers = Array.from({ length: 12 }, (_, n) =>
      cluster.api.call('createEndpoint', { ...web, name: `race-${n}`, host: 'h2', ip: '10.0.1.77' }).then(
        ({ name }) => name,
        (error: { code: number }) => error.code,
      ),
    );
    const outcomes = await Promise.all(racers);
    const winners = outcomes.filter((outcome) => typeof outcome === 'string');
    expect(winners).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 6)).toHaveLength(11);
    await cluster.api.call('deleteEndpoint', { ...web, name: winners[0] ?? '' });
  });

  it('that a host cannot have are taken back, and the caller learns why', async () => {
    const peer = await cluster.peer(2, {
      refuse: ({ object }) =>
        object.oneofKind === 'endpoint' && object.endpoint.name === 'broken'
          ? { reason: 'NETNS_NOT_FOUND', message: '/run/netns/none does not exist' }
          : undefined,
    });
    const before = await cluster.dump();
    const error = await cluster.api.refused('createEndpoint', { ...web, name: 'broken', host: 'h2' });
    expect(error).toMatchObject({
      code: 9,
      reason: 'NETNS_NOT_FOUND',
      object: 'endpoint acme/web/broken',
      hosts: ['h2'],
    });
    expect(error.message).toContain('/run/netns/none does not exist');
    expect(await cluster.dump()).toEqual(before);
    expect(peer.endpoints.size).toBe(0);
    expect([...(cluster.peers.get('h3')?.endpoints.values() ?? [])].map(({ value }) => value.name)).not.toContain(
      'broken',
    );
  });

  it('whose hosts are late keep their intent, and the error names the hosts', async () => {
    cluster.peers.get('h3')?.hold(true);
    const request = { ...web, name: 'late', host: 'h1', ip: '10.0.1.88', requestId: 'r-late' };
    const error = await cluster.api.refused('createEndpoint', { ...request, timeoutMs: 300 });
    expect(error).toMatchObject({ code: 4, reason: 'HOSTS_NOT_READY', hosts: ['h3'] });
    expect(await cluster.api.call('getEndpoint', { ...web, name: 'late' })).toMatchObject({ ip: '10.0.1.88' });
    const again = cluster.api.call('createEndpoint', request);
    cluster.peers.get('h3')?.hold(false);
    expect(await again).toMatchObject({ ip: '10.0.1.88' });
    await cluster.api.call('deleteEndpoint', { ...web, name: 'late' });
  });

  it('hold their address while a deletion is not confirmed, and free it afterwards', async () => {
    const request = { ...web, name: 'held', host: 'h1', ip: '10.0.1.99' };
    await cluster.api.call('createEndpoint', request);
    const before = await cluster.dump();
    cluster.peers.get('h3')?.hold(true);
    expect(await cluster.api.refused('deleteEndpoint', { ...web, name: 'held', timeoutMs: 200 })).toMatchObject({
      code: 4,
      hosts: ['h3'],
    });
    expect(await cluster.api.refused('createEndpoint', request)).toMatchObject({ code: 6, reason: 'ADDRESS_HELD' });
    cluster.peers.get('h3')?.hold(false);
    await cluster.api.call('createEndpoint', request);
    expect(Object.keys(await cluster.dump())).toEqual(Object.keys(before));
    await cluster.api.call('deleteEndpoint', { ...web, name: 'held' });
  });

  it('come in batches with a result each', async () => {
    const requests = Array.from({ length: 70 }, (_, n) => ({
      ...web,
      name: `b-${n}`,
      host: `h${1 + (n % 2)}`,
      ip: n === 40 ? '10.0.1.1' : '',
      mac: '',
      requestId: '',
      timeoutMs: 0,
    }));
    const { results } = await cluster.api.call('batchCreateEndpoints', { requests });
    expect(results).toHaveLength(70);
    const failed = results.flatMap(({ result }, n) =>
      result.oneofKind === 'error' ? [[n, result.error] as const] : [],
    );
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatchObject([40, { code: 3, detail: { reason: 'ADDRESS_IS_GATEWAY' } }]);
    const names: string[] = [];
    for (let pageToken = ''; ; ) {
      const page = await cluster.api.call('listEndpoints', { ...web, pageSize: 30, pageToken });
      names.push(...page.endpoints.map(({ name }) => name));
      pageToken = page.nextPageToken;
      if (pageToken === '') break;
    }
    expect(names.filter((name) => name.startsWith('b-')).sort()).toEqual(
      requests
        .map(({ name }) => name)
        .filter((name) => name !== 'b-40')
        .sort(),
    );
    const ofHost = await cluster.api.call('listEndpoints', { host: 'h2' });
    expect(ofHost.endpoints.every(({ host }) => host === 'h2')).toBe(true);
    for (const { name } of requests) {
      if (name !== 'b-40') await cluster.api.call('deleteEndpoint', { ...web, name });
    }
  });

  it('fill a subnet to its last address, and then it is exhausted', async () => {
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'tiny', cidrs: ['10.0.3.0/29'] });
    const tiny = { vpc: 'acme', subnet: 'tiny', host: 'h1' };
    const made = await Promise.all(
      Array.from({ length: 5 }, (_, n) => cluster.api.call('createEndpoint', { ...tiny, name: `e${n}` })),
    );
    expect(made.map(({ ip }) => ip).sort()).toEqual(['10.0.3.2', '10.0.3.3', '10.0.3.4', '10.0.3.5', '10.0.3.6']);
    const before = await cluster.dump();
    expect(await cluster.api.refused('createEndpoint', { ...tiny, name: 'e5' })).toMatchObject({
      code: 8,
      reason: 'SUBNET_EXHAUSTED',
      object: 'endpoint acme/tiny/e5',
    });
    expect(await cluster.dump()).toEqual(before);
    await cluster.api.call('deleteEndpoint', { ...tiny, name: 'e2' });
    expect(await cluster.api.call('createEndpoint', { ...tiny, name: 'e5' })).toMatchObject({ ip: made[2]?.ip });
    await cluster.api.call('deleteSubnet', { vpc: 'acme', name: 'tiny', cascade: true });
  });

  it('are found by address, in the intent and in the bouncers', async () => {
    const made = await cluster.api.call('createEndpoint', { ...web, name: 'found', host: 'h1', ip: '10.0.1.60' });
    const answer = await cluster.api.call('resolve', { vpc: 'acme', ip: '10.0.1.60', viaBouncer: true });
    expect(answer).toMatchObject({ subnet: 'web', owners: ['h3'], slot: made.slot, endpoint: { name: 'found' } });
    expect(answer.answers).toMatchObject([
      {
        host: 'h3',
        found: true,
        endpointHostAddress: '192.168.0.1',
        mac: made.mac,
        generation: made.meta?.generation,
        error: '',
      },
    ]);
    const nobody = await cluster.api.call('resolve', { vpc: 'acme', ip: '10.0.1.61', viaBouncer: true });
    expect(nobody.endpoint).toBeUndefined();
    expect(nobody.answers).toMatchObject([{ host: 'h3', found: false }]);
    expect(await cluster.api.refused('resolve', { vpc: 'acme', ip: '10.200.0.1' })).toMatchObject({
      code: 5,
      reason: 'NO_SUBNET',
    });
    await cluster.api.call('deleteEndpoint', { ...web, name: 'found' });
  });

  it('of a detached host: creates are refused, deletes remove the intent', async () => {
    await cluster.api.call('createEndpoint', { ...web, name: 'orphan', host: 'h5' });
    cluster.peers.get('h5')?.close();
    await expect
      .poll(async () => (await cluster.api.call('getHost', { name: 'h5' })).status?.attached, { timeout: 10_000 })
      .toBe(false);
    const before = await cluster.dump();
    expect(await cluster.api.refused('createEndpoint', { ...web, name: 'no', host: 'h5' })).toMatchObject({
      code: 14,
      reason: 'HOST_DETACHED',
      hosts: ['h5'],
    });
    expect(await cluster.dump()).toEqual(before);
    const status = await cluster.api.call('getStatus', {});
    expect(status.problems.some((problem) => problem.includes('h5'))).toBe(true);
    await cluster.api.call('deleteEndpoint', { ...web, name: 'orphan' });
    expect(await cluster.api.refused('getEndpoint', { ...web, name: 'orphan' })).toMatchObject({ code: 5 });
    const held = async () => Object.keys(await cluster.dump()).filter((key) => key.includes('/held/'));
    expect(await held()).toHaveLength(1);
    await cluster.peer(5);
    expect(cluster.peers.get('h5')?.endpoints.size).toBe(0);
    await expect.poll(held, { timeout: 20_000 }).toEqual([]);
  }, 40_000);

  it('whose bouncer dies are deleted as soon as that is certain', async () => {
    const wide = { vpc: 'acme', subnet: 'wide' };
    await cluster.api.call('createEndpoint', { ...wide, name: 'w', host: 'h1' });
    cluster.peers.get('h4')?.close();
    // Long before the deadline.
    await cluster.api.call('deleteEndpoint', { ...wide, name: 'w', timeoutMs: 60_000 });
    await cluster.peer(4);
    const held = async () => Object.keys(await cluster.dump()).filter((key) => key.includes('/held/'));
    await expect.poll(held, { timeout: 20_000 }).toEqual([]);
  }, 40_000);

  it('of a host that died are made again elsewhere, with the same address, by who asks for it', async () => {
    const request = { ...web, name: 'mortal', host: 'h5', ip: '10.0.1.123' };
    await cluster.api.call('createEndpoint', request);
    cluster.peers.get('h5')?.close();
    await cluster.api.call('deleteEndpoint', { ...web, name: 'mortal' });
    const again = await cluster.api.call('createEndpoint', { ...request, host: 'h2' });
    expect(again).toMatchObject({ host: 'h2', ip: '10.0.1.123' });
    expect(
      cluster.peers.get('h3')?.endpoints.get(`${again.vni}/${again.subnetNumber}/10.0.1.123`)?.value,
    ).toMatchObject({
      hostAddress: '192.168.0.2',
    });
    expect(Object.keys(await cluster.dump()).filter((key) => key.includes('/held/'))).toEqual([]);
    await cluster.peer(5);
    expect(cluster.peers.get('h5')?.endpoints.size).toBe(0);
    await cluster.api.call('deleteEndpoint', { ...web, name: 'mortal' });
  }, 40_000);
});
