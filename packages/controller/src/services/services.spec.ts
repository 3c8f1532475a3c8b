import { Affinity, Protocol, Refusal, type Service, ServiceBackend, type ServicePort } from '@megrez/model';
import { serviceBuckets } from '@megrez/ring';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Api } from '../testing/api';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

const shop = { vpc: 'acme', subnet: 'web', name: 'shop' };
const tcp = (listen: number, target = 0): ServicePort => ({ listen, target, protocol: Protocol.TCP });
const backend = (endpoint: string, subnet = '', weight = 0): ServiceBackend =>
  ServiceBackend.create({ endpoint, subnet, weight });
const backends = (...names: string[]): ServiceBackend[] => names.map((name) => backend(name));

describe('services', () => {
  let cluster: Cluster;
  let before: Record<string, string>;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 4, controllers: 2, lead: false });
    before = await cluster.dump();
  });
  afterAll(() => cluster.close());
  beforeEach(async () => {
    await startAcme(cluster.api, { bouncers: 2, bouncerHosts: ['h2', 'h3'] });
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'db', cidrs: ['10.0.2.0/24'], bouncerHosts: ['h4'] });
    for (const [name, ip] of Object.entries({ a: '10.0.1.11', b: '10.0.1.12', c: '10.0.1.13' })) {
      await cluster.api.call('createEndpoint', { ...{ vpc: 'acme', subnet: 'web', name, ip }, host: 'h1' });
    }
    await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'db', name: 'a', host: 'h1', ip: '10.0.2.11' });
  });
  // Whatever a test leaves, a cascade takes away without a trace.
  afterEach(async () => {
    for (const peer of cluster.peers.values()) peer.hold(false);
    const { vpcs } = await cluster.api.call('listVpcs', {});
    for (const { name } of vpcs) await cluster.api.call('deleteVpc', { name, cascade: true });
    const after = await cluster.dump();
    const left = Object.keys(after).filter((key) => !(key in before) && !key.includes('/counters/'));
    const known = [...cluster.peers.values()].flatMap(({ services }) => [...services.keys()]);
    if (left.length + known.length > 0) throw new Error(`left behind: ${[...left, ...known].join(', ')}`);
  });

  const create = (request: object = {}) =>
    cluster.api.call('createService', { ...shop, ports: [tcp(80, 8080)], ...request });
  const refused = (request: object = {}) =>
    cluster.api.refused('createService', { ...shop, ports: [tcp(80, 8080)], ...request });
  const update = (request: object) =>
    cluster.api.call('updateService', { ...shop, ports: [tcp(80, 8080)], ...request });
  const endpoint = (name: string) => ({ vpc: 'acme', subnet: 'web', name });
  /** By host: what the holders of a subnet's slots were told of a service. */
  const known = (name = 'shop'): Record<string, Service | undefined> =>
    Object.fromEntries(
      [...cluster.peers].flatMap(([host, { services }]) =>
        [...services.values()].filter(({ value }) => value.name === name).map(({ value }) => [host, value]),
      ),
    );
  const shares = ({ buckets }: Service): Record<number, number> => {
    const counts: Record<number, number> = {};
    for (const number of buckets) counts[number] = (counts[number] ?? 0) + 1;
    return counts;
  };
  const table = (): Uint8Array => known().h2?.buckets ?? new Uint8Array();

  it('are made once, and known to every holder of slots of their subnet when the call returns', async () => {
    const request = {
      ip: '10.0.1.9',
      backends: [...backends('a'), backend('a', 'db', 300)],
      affinity: Affinity.CLIENT_IP,
      affinityTimeoutMs: 5_000,
      requestId: 'r',
    };
    const service = await create(request);
    expect(service).toMatchObject({
      ...{ ...shop, ip: '10.0.1.9', mac: '02:4d:0a:00:01:09', subnetNumber: 1 },
      ports: [{ listen: 80, target: 8080, protocol: Protocol.TCP }],
      backends: [
        { subnet: 'web', endpoint: 'a', weight: 0, ip: '10.0.1.11', subnetNumber: 1, number: 0 },
        { subnet: 'db', endpoint: 'a', weight: 300, ip: '10.0.2.11', subnetNumber: 2, number: 1 },
      ],
      ...{ affinity: Affinity.CLIENT_IP, affinityTimeoutMs: 5_000, refusal: Refusal.TELL },
    });
    expect(service.buckets).toHaveLength(0);
    expect(Object.keys(known()).sort()).toEqual(['h2', 'h3']);
    for (const told of Object.values(known())) {
      expect(told).toMatchObject({ ip: '10.0.1.9', meta: { generation: service.meta?.generation } });
      expect(shares(told as Service)).toEqual({ 0: 255, 1: 766 });
    }
    expect(await create(request)).toEqual(service);
    expect(await refused()).toMatchObject({ code: 6, reason: 'NAME_IN_USE' });
    expect(await cluster.api.call('getService', shop)).toEqual(service);
    await create({ name: 'store' });
    await create({ subnet: 'db' });
    const list = async (request: object) =>
      (await cluster.api.call('listServices', request)).services.map(({ subnet, name }) => `${subnet}/${name}`);
    expect(await list({ vpc: 'acme' })).toEqual(['web/shop', 'web/store', 'db/shop']);
    expect(await list({ vpc: 'acme', subnet: 'web', pageSize: 1 })).toEqual(['web/shop']);
    expect(Object.keys(known()).sort()).toEqual(['h2', 'h3', 'h4']);
  });

  it('wait for all holders, and say who did not confirm', async () => {
    cluster.peers.get('h3')?.hold(true);
    const late = await cluster.api.refused('createService', { ...shop, ports: [tcp(80)], requestId: 'r' }, 1_500);
    expect(late).toMatchObject({ code: 4 });
    cluster.peers.get('h3')?.hold(false);
    expect(await create({ ports: [tcp(80)], requestId: 'r' })).toMatchObject({ name: 'shop' });
  });

  it('and endpoints never share an address', async () => {
    expect(await refused({ ip: '10.0.1.11' })).toMatchObject({
      ...{ code: 6, reason: 'ADDRESS_IN_USE', object: 'service acme/web/shop' },
      message: expect.stringContaining('endpoint acme/web/a'),
    });
    await create({ ip: '10.0.1.9' });
    expect(await refused({ name: 'store', ip: '10.0.1.9' })).toMatchObject({
      ...{ code: 6, reason: 'ADDRESS_IN_USE' },
      message: expect.stringContaining('service acme/web/shop'),
    });
    const taken = await cluster.api.refused('createEndpoint', { ...endpoint('d'), host: 'h1', ip: '10.0.1.9' });
    expect(taken).toMatchObject({ code: 6, reason: 'ADDRESS_IN_USE', object: 'endpoint acme/web/d' });
    expect(taken.message).toContain('service acme/web/shop');
    const racers = [1, 2, 3, 4].flatMap((n) => [
      cluster.api.call('createEndpoint', { ...endpoint(`r${n}`), host: 'h1', ip: '10.0.1.99' }),
      create({ name: `r${n}`, ip: '10.0.1.99' }),
    ]);
    const won = (await Promise.allSettled(racers)).filter(({ status }) => status === 'fulfilled');
    expect(won).toHaveLength(1);
  });

  it('take free addresses, and exhaust a subnet together with endpoints', async () => {
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'tiny', cidrs: ['10.0.3.0/29'] });
    const tiny = { vpc: 'acme', subnet: 'tiny' };
    const made = [
      await cluster.api.call('createService', { ...tiny, name: 's1', ports: [tcp(80)] }),
      await cluster.api.call('createEndpoint', { ...tiny, name: 'e1', host: 'h1' }),
      await cluster.api.call('createService', { ...tiny, name: 's2', ports: [tcp(80)] }),
      await cluster.api.call('createEndpoint', { ...tiny, name: 'e2', host: 'h1' }),
      await cluster.api.call('createService', { ...tiny, name: 's3', ports: [tcp(80)] }),
    ];
    expect(made.map(({ ip }) => ip).sort()).toEqual([2, 3, 4, 5, 6].map((n) => `10.0.3.${n}`));
    const full = { code: 8, reason: 'SUBNET_EXHAUSTED' };
    expect(await cluster.api.refused('createEndpoint', { ...tiny, name: 'e3', host: 'h1' })).toMatchObject(full);
    expect(await cluster.api.refused('createService', { ...tiny, name: 's4', ports: [tcp(80)] })).toMatchObject(full);
  });

  it.each([
    ['network address', { ip: '10.0.1.0' }, 3, 'ADDRESS_IS_NETWORK'],
    ['gateway', { ip: '10.0.1.1' }, 3, 'ADDRESS_IS_GATEWAY'],
    ['broadcast address', { ip: '10.0.1.255' }, 3, 'ADDRESS_IS_BROADCAST'],
    ['another subnet', { ip: '10.0.2.9' }, 3, 'ADDRESS_OUTSIDE_SUBNET'],
    ['a port twice', { ports: [tcp(80, 1), tcp(80, 2)] }, 3, 'DUPLICATE_PORT'],
    ['no such subnet', { subnet: 'none' }, 5, 'SUBNET_NOT_FOUND'],
    ['no such vpc', { vpc: 'none' }, 5, 'VPC_NOT_FOUND'],
    ['no such backend', { backends: backends('a', 'z') }, 5, 'ENDPOINT_NOT_FOUND'],
    ['a backend of no such subnet', { backends: [backend('a', 'none')] }, 5, 'SUBNET_NOT_FOUND'],
  ])('with %s are refused, and leave nothing', async (_what, request, code, reason) => {
    const store = await cluster.dump();
    expect(await refused(request)).toMatchObject({ code, reason });
    expect(await cluster.dump()).toEqual(store);
    expect(await cluster.api.refused('getService', shop)).toMatchObject({ code: 5, reason: 'SERVICE_NOT_FOUND' });
  });

  it('change: who stays keeps its number and its buckets', async () => {
    await create({ backends: backends('a', 'b', 'c') });
    const first = table();
    expect(shares(known().h3 as Service)).toEqual({ 0: 341, 1: 340, 2: 340 });
    const service = await update({ ports: [tcp(443)], backends: backends('c', 'a'), refusal: Refusal.DROP });
    expect(service).toMatchObject({
      ports: [{ listen: 443, target: 443 }],
      backends: [
        { endpoint: 'c', number: 2 },
        { endpoint: 'a', number: 0 },
      ],
      ...{ refusal: Refusal.DROP, affinity: Affinity.NONE },
    });
    expect(first.filter((number, i) => number !== table()[i]).length).toBe(first.filter((n) => n === 1).length);
    await update({ backends: [backend('a'), backend('c'), backend('a', 'db')] });
    expect(known().h2).toMatchObject({
      refusal: Refusal.DROP,
      backends: [{ number: 0 }, { number: 2 }, { number: 1 }],
    });
    await update({ backends: [] });
    expect([table().length, known().h2?.backends]).toEqual([0, []]);
    await update({ backends: backends('b') });
    expect(shares(known().h2 as Service)).toEqual({ 0: serviceBuckets });
    expect(await cluster.api.refused('updateService', { ...shop, ports: [] })).toMatchObject({
      reason: 'PORT_MISSING',
    });
    const timeout = { ...shop, ports: [tcp(80)], affinityTimeoutMs: 5 };
    expect(await cluster.api.refused('updateService', timeout)).toMatchObject({ reason: 'AFFINITY_MISSING' });
    expect(await cluster.api.refused('updateService', { ...shop, name: 'z', ports: [tcp(80)] })).toMatchObject({
      reason: 'SERVICE_NOT_FOUND',
    });
  });

  it('changed by several at once are what one of them wanted, index and all', async () => {
    await create();
    const apis = cluster.controllers.map((controller) => cluster.apiOf(controller));
    const wishes = [['a'], ['b'], ['c'], ['a', 'b'], ['b', 'c'], ['a', 'c']];
    await Promise.all(
      wishes.map((names, n) =>
        (apis[n % 2] as Api).call('updateService', { ...shop, ports: [tcp(80)], backends: backends(...names) }),
      ),
    );
    const now = (await cluster.api.call('getService', shop)).backends.map(({ endpoint: name }) => name);
    expect(wishes).toContainEqual(now);
    const index = Object.keys(await cluster.dump()).filter((key) => key.startsWith('/megrez/v1/backends/'));
    expect(index).toHaveLength(now.length);
  });

  it('lose a backend that is deleted, before it is', async () => {
    await create({ backends: backends('a', 'b') });
    await create({ subnet: 'db', backends: [backend('a', 'web'), backend('a', 'db')] });
    await create({ name: 'store', backends: backends('b') });
    cluster.peers.get('h4')?.hold(true);
    const late = await cluster.api.refused('deleteEndpoint', { ...endpoint('a'), timeoutMs: 700 });
    expect(late).toMatchObject({ code: 4, hosts: ['h4'] });
    expect(await cluster.api.call('getEndpoint', endpoint('a'))).toMatchObject({ ip: '10.0.1.11' });
    cluster.peers.get('h4')?.hold(false);
    await cluster.api.call('deleteEndpoint', endpoint('a'));
    expect(known()).toMatchObject({
      h2: { backends: [{ endpoint: 'b' }] },
      h4: { backends: [{ subnet: 'db', endpoint: 'a' }] },
    });
    expect(shares(known().h2 as Service)).toEqual({ 1: serviceBuckets });
    // The same name at the same address is another endpoint, and no backend of anybody.
    await cluster.api.call('createEndpoint', { ...endpoint('a'), host: 'h1', ip: '10.0.1.11' });
    expect((await cluster.api.call('getService', shop)).backends.map(({ endpoint: name }) => name)).toEqual(['b']);
    expect((await cluster.api.call('getService', { ...shop, name: 'store' })).backends).toHaveLength(1);
  });

  it('lose a backend that many of them have, while others change them', async () => {
    const names = Array.from({ length: 90 }, (_, n) => `s${n}`);
    await Promise.all(names.map((name) => create({ name, backends: backends('a', 'b') })));
    const left = cluster.api.call('deleteEndpoint', endpoint('a'));
    for (const name of names.slice(0, 10)) await update({ name, backends: backends('b', 'c') });
    await left;
    const { services } = await cluster.api.call('listServices', { vpc: 'acme' });
    expect(services).toHaveLength(names.length);
    for (const service of services) expect(service.backends.map(({ endpoint: name }) => name)).not.toContain('a');
  });

  it('never get a backend that goes at the same time', async () => {
    for (let round = 0; round < 8; round += 1) {
      const name = `x${round}`;
      await cluster.api.call('createEndpoint', { ...endpoint(name), host: 'h1' });
      const [made] = await Promise.allSettled([
        create({ name, backends: backends(name) }),
        cluster.api.call('deleteEndpoint', endpoint(name)),
      ]);
      if (made.status === 'rejected') continue;
      expect((await cluster.api.call('getService', { ...shop, name })).backends).toEqual([]);
    }
    const index = Object.keys(await cluster.dump()).filter((key) => key.startsWith('/megrez/v1/backends/'));
    expect(index).toEqual([]);
  });

  it('move with their endpoints without a change', async () => {
    const service = await create({ backends: backends('a') });
    await cluster.api.call('moveEndpoint', { ...endpoint('a'), host: 'h4' });
    expect(await cluster.api.call('getService', shop)).toEqual(service);
    await cluster.api.call('deleteEndpoint', endpoint('a'));
    expect(known().h2?.backends).toEqual([]);
  });

  it('keep a subnet in use, and go with it in a cascade', async () => {
    await create({ subnet: 'db', backends: [backend('a', 'web')] });
    await cluster.api.call('deleteEndpoint', { vpc: 'acme', subnet: 'db', name: 'a' });
    const use = await cluster.api.refused('deleteSubnet', { vpc: 'acme', name: 'db' });
    expect(use).toMatchObject({ code: 9, reason: 'SUBNET_IN_USE' });
    expect(use.message).toContain('has 1 service: delete it first');
    await create({ backends: [backend('b'), backend('c')] });
    expect((await cluster.api.refused('deleteSubnet', { vpc: 'acme', name: 'web' })).message).toContain(
      'has 3 endpoints and 1 service: delete them first',
    );
    await cluster.api.call('deleteSubnet', { vpc: 'acme', name: 'web', cascade: true });
    expect(known()).toMatchObject({ h4: { backends: [] } });
    await cluster.api.call('deleteSubnet', { vpc: 'acme', name: 'db', cascade: true });
    expect(known()).toEqual({});
  });

  it('are deleted everywhere, and their address is free', async () => {
    const service = await create({ ip: '10.0.1.9', backends: backends('a') });
    expect(await cluster.api.call('deleteService', shop)).toEqual(service);
    expect(known()).toEqual({});
    expect(await cluster.api.refused('deleteService', shop)).toMatchObject({ code: 5, reason: 'SERVICE_NOT_FOUND' });
    await cluster.api.call('createEndpoint', { ...endpoint('d'), host: 'h1', ip: '10.0.1.9' });
  });

  it('that a host cannot have are taken back', async () => {
    const reason = 'MAP_FULL';
    const refuse = (change: { readonly object: { oneofKind: string | undefined } }) =>
      change.object.oneofKind === 'service' ? { reason, message: 'no room' } : undefined;
    await cluster.peer(3, { refuse });
    expect(await refused({ backends: backends('a') })).toMatchObject({ code: 9, reason, hosts: ['h3'] });
    await cluster.peer(3);
    await expect.poll(() => Object.keys(known())).toEqual([]);
    expect(await cluster.api.refused('getService', shop)).toMatchObject({ reason: 'SERVICE_NOT_FOUND' });
  });

  it('are told to who connects later, and to nobody who holds no slot', async () => {
    await create({ backends: backends('a') });
    await cluster.peer(3);
    await cluster.peer(1);
    expect(Object.keys(known()).sort()).toEqual(['h2', 'h3']);
    await cluster.api.call('deleteService', shop);
    await cluster.peer(2);
    expect(known()).toEqual({});
  });
});
