// Behaviours 43, 44 and 46, and the ways an endpoint is attached: nothing half-made, nothing left.
import { type Endpoint, MegrezError } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createEndpoint,
  createSubnet,
  createVpc,
  type endpointRequest,
  type TestCluster,
  tapGuest,
  up,
} from './harness/cluster';
import { dump, type Footprint, footprints } from './harness/observe';
import { allOf, ping } from './harness/traffic';

let cluster: TestCluster;
/** Of an attached cluster without a single VPC. */
let nothing: Readonly<Record<string, Footprint>>;
let emptyStore: readonly string[];

beforeAll(async () => {
  cluster = await up({ hosts: 3 });
  nothing = await footprints(cluster);
  emptyStore = await intent();
});

afterAll(() => cluster?.down());

/** Keys and values of etcd but for those of living processes, and the counter that keeps VNIs from being used twice. */
async function intent(): Promise<readonly string[]> {
  return [...(await dump(cluster))]
    .filter(([key]) => !/^\/megrez\/v1\/(relays|sessions|leader|counters)\b/.test(key))
    .map(([key, value]) => `${key} ${value}`)
    .sort();
}

/** Everything that an operation could leave half-made. */
const everything = async () => ({ intent: await intent(), hosts: await footprints(cluster) });

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    (value) => value,
    (error: unknown) => (error instanceof MegrezError ? `${error.code} ${error.reason}` : error),
  );

describe('43: racing creators', () => {
  beforeAll(async () => {
    await createVpc(cluster, 'race');
    await createSubnet(cluster, 'race', 'web', '10.0.1.0/24', ['h3']);
  });
  afterAll(() => cluster.api.deleteVpc({ name: 'race', cascade: true }).response);

  const creators = 8;

  test('of many who want one address, one gets it, and the others are told who', async () => {
    const before = await everything();
    const wanted = Array.from({ length: creators }, (_, i) =>
      codeOf(createEndpoint(cluster, 'race', 'web', `e${i}`, `h${1 + (i % 2)}`, { ip: '10.0.1.77' })),
    );
    const results = await Promise.all(wanted);
    const winners = results.filter((result): result is Endpoint => typeof result === 'object');
    const losers = results.filter((result) => typeof result === 'string');
    expect(winners).toHaveLength(1);
    expect(losers).toEqual(Array(creators - 1).fill('ALREADY_EXISTS ADDRESS_IN_USE'));
    const [winner] = winners as [Endpoint];
    const { endpoint } = await cluster.client.lookup.resolve({ vpc: 'race', ip: '10.0.1.77', viaBouncer: false })
      .response;
    expect(endpoint).toMatchObject({ name: winner.name, host: winner.host });
    const listed = await cluster.api.listEndpoints({ vpc: 'race', subnet: 'web', host: '', pageSize: 0, pageToken: '' })
      .response;
    expect(listed.endpoints.map(({ name }) => name)).toEqual([winner.name]);
    // The losers' hosts have nothing of them: undone, the cluster is as before.
    const { vpc, subnet, name } = winner;
    await cluster.api.deleteEndpoint({ vpc, subnet, name, timeoutMs: 0 }).response;
    expect(await everything()).toEqual(before);
  });

  test('of many who want one name, one gets it', async () => {
    const wanted = Array.from({ length: creators }, (_, i) =>
      codeOf(createEndpoint(cluster, 'race', 'web', 'same', `h${1 + (i % 2)}`)),
    );
    const results = await Promise.all(wanted);
    expect(results.filter((result) => typeof result === 'object')).toHaveLength(1);
    expect(results.filter((result) => typeof result === 'string')).toEqual(
      Array(creators - 1).fill(expect.stringMatching(/^ALREADY_EXISTS /)),
    );
    await cluster.api.deleteEndpoint({ vpc: 'race', subnet: 'web', name: 'same', timeoutMs: 0 }).response;
  });

  test('many who leave the choice to us get an address each', async () => {
    const wanted = Array.from({ length: 24 }, (_, i) =>
      createEndpoint(cluster, 'race', 'web', `n${i}`, `h${1 + (i % 2)}`),
    );
    const made = await Promise.all(wanted);
    expect(new Set(made.map(({ ip }) => ip)).size).toBe(24);
    const [first, second] = made as [Endpoint, Endpoint];
    expect(await ping(cluster, { endpoint: first }, second.ip)).toEqual(allOf(10));
  });
});

describe('44: refusals', () => {
  beforeAll(async () => {
    await createVpc(cluster, 'bad', '10.7.0.0/16');
    await createSubnet(cluster, 'bad', 'web', '10.7.1.0/24', ['h3']);
    await createSubnet(cluster, 'bad', 'tiny', '10.7.2.0/29', ['h3']);
    await createEndpoint(cluster, 'bad', 'web', 'a', 'h1', { ip: '10.7.1.10' });
    // Eight addresses but for the network's, the gateway's and the last.
    for (let i = 0; i < 5; i += 1) {
      await createEndpoint(cluster, 'bad', 'tiny', `e${i}`, 'h1');
    }
  });
  afterAll(() => cluster.api.deleteVpc({ name: 'bad', cascade: true }).response);

  const vpc = (name: string, ...cidrs: string[]) =>
    cluster.api.createVpc({ name, cidrs, dividers: 0, requestId: '' }).response;
  const subnet = (
    cidr: string,
    more: { name?: string; vpc?: string; bouncers?: number; bouncerHosts?: string[] } = {},
  ) =>
    cluster.api.createSubnet({
      ...{ vpc: 'bad', name: 'new', cidrs: [cidr], bouncers: 1, bouncerHosts: [], requestId: '' },
      ...more,
    }).response;
  const endpoint = (host: string, more: Parameters<typeof endpointRequest>[4] = {}, name = 'new', of = 'web') =>
    createEndpoint(cluster, 'bad', of, name, host, more);

  const cases: readonly (readonly [string, () => Promise<unknown>, string, string])[] = [
    [
      'a full subnet',
      () => endpoint('h1', {}, 'new', 'tiny'),
      'RESOURCE_EXHAUSTED SUBNET_EXHAUSTED',
      'endpoint bad/tiny/new',
    ],
    ['a subnet outside its VPC', () => subnet('10.8.1.0/24'), 'INVALID_ARGUMENT CIDR_OUTSIDE_VPC', 'subnet bad/new'],
    ['a subnet wider than its VPC', () => subnet('10.0.0.0/8'), 'INVALID_ARGUMENT CIDR_OUTSIDE_VPC', 'subnet bad/new'],
    [
      'a subnet that overlaps another',
      () => subnet('10.7.1.128/25'),
      'FAILED_PRECONDITION CIDR_OVERLAP',
      'subnet bad/new',
    ],
    ['a subnet around another', () => subnet('10.7.0.0/16'), 'FAILED_PRECONDITION CIDR_OVERLAP', 'subnet bad/new'],
    ['a CIDR with host bits', () => subnet('10.7.3.1/24'), 'INVALID_ARGUMENT CIDR_HOST_BITS', 'subnet bad/new'],
    ['a CIDR that is none', () => subnet('10.7.3.0/33'), 'INVALID_ARGUMENT INVALID_CIDR', 'subnet bad/new'],
    ['a VPC without a CIDR', () => vpc('empty'), 'INVALID_ARGUMENT CIDR_MISSING', 'vpc empty'],
    ['a VPC with a bad CIDR', () => vpc('odd', 'ten/8'), 'INVALID_ARGUMENT INVALID_CIDR', 'vpc odd'],
    [
      'a VPC with a bad name',
      () => vpc('Not_A_Name', '10.0.0.0/16'),
      'INVALID_ARGUMENT INVALID_NAME',
      'vpc Not_A_Name',
    ],
    ['a VPC that exists', () => vpc('bad', '10.0.0.0/16'), 'ALREADY_EXISTS NAME_IN_USE', 'vpc bad'],
    ['a subnet of no VPC', () => subnet('10.7.3.0/24', { vpc: 'none' }), 'NOT_FOUND VPC_NOT_FOUND', 'vpc none'],
    [
      'more bouncers than hosts',
      () => subnet('10.7.3.0/24', { bouncers: 4 }),
      'FAILED_PRECONDITION TOO_MANY_BOUNCERS',
      'subnet bad/new',
    ],
    [
      'a bouncer on no host',
      () => subnet('10.7.3.0/24', { bouncerHosts: ['h9'] }),
      'NOT_FOUND HOST_NOT_FOUND',
      'subnet bad/new',
    ],
    ['an endpoint on no host', () => endpoint('h9'), 'NOT_FOUND HOST_NOT_FOUND', 'host h9'],
    [
      'an endpoint of no subnet',
      () => endpoint('h1', {}, 'new', 'none'),
      'NOT_FOUND SUBNET_NOT_FOUND',
      'subnet bad/none',
    ],
    [
      'an address of another subnet',
      () => endpoint('h1', { ip: '10.7.2.2' }),
      'INVALID_ARGUMENT ADDRESS_OUTSIDE_SUBNET',
      'endpoint bad/web/new',
    ],
    [
      'the network address',
      () => endpoint('h1', { ip: '10.7.1.0' }),
      'INVALID_ARGUMENT ADDRESS_IS_NETWORK',
      'endpoint bad/web/new',
    ],
    [
      'the broadcast address',
      () => endpoint('h1', { ip: '10.7.1.255' }),
      'INVALID_ARGUMENT ADDRESS_IS_BROADCAST',
      'endpoint bad/web/new',
    ],
    [
      'the gateway address',
      () => endpoint('h1', { ip: '10.7.1.1' }),
      'INVALID_ARGUMENT ADDRESS_IS_GATEWAY',
      'endpoint bad/web/new',
    ],
    [
      'an address that is none',
      () => endpoint('h1', { ip: '10.7.1.300' }),
      'INVALID_ARGUMENT INVALID_ADDRESS',
      'endpoint bad/web/new',
    ],
    [
      'an address that is taken',
      () => endpoint('h2', { ip: '10.7.1.10' }),
      'ALREADY_EXISTS ADDRESS_IN_USE',
      'endpoint bad/web/new',
    ],
    ['a name that is taken', () => endpoint('h2', {}, 'a'), 'ALREADY_EXISTS NAME_IN_USE', 'endpoint bad/web/a'],
    [
      'a multicast MAC',
      () => endpoint('h1', { mac: '01:00:5e:00:00:01' }),
      'INVALID_ARGUMENT INVALID_MAC',
      'endpoint bad/web/new',
    ],
    ['a name of bad syntax', () => endpoint('h1', {}, 'a/b'), 'INVALID_ARGUMENT INVALID_NAME', 'endpoint bad/web/a/b'],
    [
      'deleting a VPC in use',
      () => cluster.api.deleteVpc({ name: 'bad', cascade: false }).response,
      'FAILED_PRECONDITION VPC_IN_USE',
      'vpc bad',
    ],
    [
      'deleting a subnet in use',
      () => cluster.api.deleteSubnet({ vpc: 'bad', name: 'web', cascade: false }).response,
      'FAILED_PRECONDITION SUBNET_IN_USE',
      'subnet bad/web',
    ],
    [
      'deleting an endpoint that is not there',
      () => cluster.api.deleteEndpoint({ vpc: 'bad', subnet: 'web', name: 'none', timeoutMs: 0 }).response,
      'NOT_FOUND ENDPOINT_NOT_FOUND',
      'endpoint bad/web/none',
    ],
  ];

  let before: Awaited<ReturnType<typeof everything>>;
  beforeAll(async () => {
    before = await everything();
  });

  test.for(cases)('%s: an error that names the object, and nothing half-made', async ([, work, code, named]) => {
    const error = await work().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(MegrezError);
    const { code: got, reason, object, message } = error as MegrezError;
    expect(`${got} ${reason}`).toBe(code);
    expect(object).toBe(named);
    expect(message.length).toBeGreaterThan(15);
    expect(await intent()).toEqual(before.intent);
  });

  test('after all of them, hosts are as before', async () => {
    expect(await footprints(cluster)).toEqual(before.hosts);
  });
});

describe('attachments', () => {
  beforeAll(async () => {
    await createVpc(cluster, 'att');
    await createSubnet(cluster, 'att', 'web', '10.0.1.0/24', ['h3']);
  });
  afterAll(() => cluster.api.deleteVpc({ name: 'att', cascade: true }).response);

  const netns = (path: string, name = '') => ({
    attachment: { kind: { oneofKind: 'netns' as const, netns: { path, interface: name } } },
  });
  const tap = (name: string) => ({ attachment: { kind: { oneofKind: 'tap' as const, tap: { name } } } });
  const remove = (name: string) =>
    cluster.api.deleteEndpoint({ vpc: 'att', subnet: 'web', name, timeoutMs: 0 }).response;

  test('a namespace of the user: attached, used, and still there afterwards', async () => {
    const peer = await createEndpoint(cluster, 'att', 'web', 'peer', 'h2');
    const before = await everything();
    // A namespace is held by a process; its path is what a container runtime gives.
    const holder = await cluster.start({ host: 'h1' }, [
      'unshare',
      '--net',
      'sh',
      '-c',
      'echo $$; ip link set lo up; echo ready; cat',
    ]);
    await holder.said('ready');
    const path = `/proc/${holder.output().split('\n')[0]}/ns/net`;
    const own = await createEndpoint(cluster, 'att', 'web', 'own', 'h1', netns(path, 'net7'));
    expect(await ping(cluster, { endpoint: own }, peer.ip)).toEqual(allOf(10));
    expect(await ping(cluster, { endpoint: peer }, own.ip)).toEqual(allOf(10));
    const inside = () => cluster.must({ host: 'h1' }, ['nsenter', `--net=${path}`, 'ip', '-o', 'link']);
    expect(await inside()).toContain('net7');
    await remove('own');
    expect(await inside()).not.toContain('net7');
    expect(await inside()).toContain('lo:');
    await holder.finish();
    expect(await everything()).toEqual(before);
  });

  test('a namespace that does not exist: a clear error at once, and nothing on the host', async () => {
    const before = await everything();
    const path = '/run/netns/there-is-none';
    const refused = createEndpoint(cluster, 'att', 'web', 'lost', 'h1', netns(path));
    await expect(refused).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'NETNS_NOT_FOUND',
      object: 'endpoint att/web/lost',
      message: expect.stringContaining(path),
    });
    expect(await everything()).toEqual(before);
  });

  test('a tap: made with the name asked for, carries frames both ways, and goes with its endpoint', async () => {
    const peer = await createEndpoint(cluster, 'att', 'web', 'peer2', 'h2');
    const before = await everything();
    const vm = await createEndpoint(cluster, 'att', 'web', 'vm', 'h1', tap('vm0'));
    expect(await cluster.must({ host: 'h1' }, ['ip', '-d', '-o', 'link', 'show', 'vm0'])).toMatch(/ tun type tap /);
    const guest = await cluster.start({ host: 'h1' }, [tapGuest(), 'vm0', vm.mac, vm.ip]);
    await guest.said('ready');
    expect(await ping(cluster, { endpoint: peer }, vm.ip)).toEqual(allOf(10));
    await guest.finish();
    await remove('vm');
    expect(await everything()).toEqual(before);
  });

  test('a tap whose name is taken is refused', async () => {
    const before = await everything();
    const refused = createEndpoint(cluster, 'att', 'web', 'vm2', 'h1', tap('eth0'));
    await expect(refused).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', object: 'endpoint att/web/vm2' });
    expect(await everything()).toEqual(before);
  });
});

describe('46: deletes leave nothing', () => {
  const fill = async (): Promise<readonly Endpoint[]> => {
    await createVpc(cluster, 'gone');
    await createSubnet(cluster, 'gone', 'web', '10.0.1.0/24', ['h3']);
    await createSubnet(cluster, 'gone', 'db', '10.0.2.0/24', ['h1', 'h2']);
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        createEndpoint(cluster, 'gone', i % 2 ? 'web' : 'db', `e${i}`, `h${1 + (i % 3)}`),
      ),
    );
    const [first, , third] = made as [Endpoint, Endpoint, Endpoint];
    expect(await ping(cluster, { endpoint: first }, third.ip)).toEqual(allOf(10));
    // There is something to leave.
    const now = await footprints(cluster);
    for (const host of cluster.hosts.keys()) {
      expect(Object.values(now[host]?.rows ?? {}).flat().length).toBeGreaterThan(0);
      expect(now[host]?.namespaces).not.toEqual([]);
    }
    return made;
  };

  /** An address whose host was away stays held until that host has said that it forgot it: all this takes a moment. */
  const left = async () => ({ hosts: await footprints(cluster), intent: await intent() });
  const gone = { timeout: 20_000, interval: 100 };

  test('one by one', async () => {
    for (const { vpc, subnet, name } of await fill()) {
      await cluster.api.deleteEndpoint({ vpc, subnet, name, timeoutMs: 0 }).response;
    }
    for (const name of ['web', 'db']) {
      await cluster.api.deleteSubnet({ vpc: 'gone', name, cascade: false }).response;
    }
    await cluster.api.deleteVpc({ name: 'gone', cascade: false }).response;
    await expect.poll(left, gone).toEqual({ hosts: nothing, intent: emptyStore });
  });

  test('by a cascade', async () => {
    await fill();
    await cluster.api.deleteVpc({ name: 'gone', cascade: true }).response;
    await expect.poll(left, gone).toEqual({ hosts: nothing, intent: emptyStore });
  });

  test('while the host was away: its agent clears up when it is back', async () => {
    await fill();
    await cluster.signal('kill', 'h1');
    await expect
      .poll(async () => (await cluster.api.getHost({ name: 'h1' }).response).status?.attached, { timeout: 15_000 })
      .toBe(false);
    await codeOf(cluster.api.deleteVpc({ name: 'gone', cascade: true }).response);
    await cluster.signal('restart', 'h1');
    await expect
      .poll(async () => (await cluster.api.getHost({ name: 'h1' }).response).status?.attached, { timeout: 15_000 })
      .toBe(true);
    // A cascade that had to wait for the host may have been refused or have stopped half-way: asked again it ends.
    await expect
      .poll(() => codeOf(cluster.api.deleteVpc({ name: 'gone', cascade: true }).response), { timeout: 15_000 })
      .toMatch(/^NOT_FOUND /);
    await expect.poll(left, gone).toEqual({ hosts: nothing, intent: emptyStore });
  });
});
