import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../testing/cluster';

describe('vpcs and subnets', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ lead: false });
  });
  afterAll(() => cluster.close());
  afterEach(async () => {
    const { vpcs } = await cluster.api.call('listVpcs', {});
    for (const { name } of vpcs) await cluster.api.call('deleteVpc', { name, cascade: true });
  });

  const acme = () => cluster.api.call('createVpc', { name: 'acme', cidrs: ['10.0.0.0/16'], requestId: 'v' });

  it('of one name are one, with VNIs that only grow', async () => {
    const first = await acme();
    expect(first).toMatchObject({ name: 'acme', cidrs: ['10.0.0.0/16'], dividers: 2 });
    expect(await acme()).toEqual(first);
    expect(await cluster.api.refused('createVpc', { name: 'acme', cidrs: ['10.0.0.0/16'] })).toMatchObject({ code: 6 });
    const other = await cluster.api.call('createVpc', { name: 'other', cidrs: ['10.0.0.0/16'] });
    await cluster.api.call('deleteVpc', { name: 'other' });
    const third = await cluster.api.call('createVpc', { name: 'third', cidrs: ['10.0.0.0/16'] });
    expect(other.vni).toBe(first.vni + 1);
    expect(third.vni).toBe(first.vni + 2);
  });

  it('race for a name and for VNIs without a clash', async () => {
    const racers = Array.from({ length: 8 }, (_, n) =>
      cluster.api.call('createVpc', { name: `v${n % 4}`, cidrs: ['10.0.0.0/16'] }).then(
        ({ vni }) => vni,
        () => 0,
      ),
    );
    const vnis = (await Promise.all(racers)).filter((vni) => vni > 0);
    expect(vnis).toHaveLength(4);
    expect(new Set(vnis).size).toBe(4);
  });

  it('come with a slot table at their bouncers and dividers, and go without a trace', async () => {
    const vpc = await acme();
    const before = await cluster.dump();
    const request = { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncerHosts: ['h1', 'h3'], requestId: 's' };
    const subnet = await cluster.api.call('createSubnet', request);
    expect(subnet).toMatchObject({ vni: vpc.vni, number: 1, bouncers: 2, gateways: ['10.0.1.1'] });
    expect(await cluster.api.call('createSubnet', request)).toEqual(subnet);
    const key = `${vpc.vni}/1`;
    const dividers = [...cluster.peers.keys()].filter((host) => cluster.peers.get(host)?.tables.has(`${vpc.vni}/0`));
    expect(dividers).toHaveLength(2);
    for (const host of ['h1', 'h3', ...dividers]) {
      const peer = cluster.peers.get(host);
      expect(peer?.tables.get(key)?.value.slots).toHaveLength(256);
      expect(peer?.subnets.get(key)?.value.name).toBe('web');
      expect(peer?.vpcs.get(vpc.vni)?.value.name).toBe('acme');
    }
    expect(cluster.peers.get('h2')?.tables.has(key)).toBe(dividers.includes('h2'));
    await cluster.api.call('deleteSubnet', { vpc: 'acme', name: 'web' });
    const counter = `/megrez/v1/counters/subnet-${vpc.vni}`;
    const { [counter]: _, ...after } = await cluster.dump();
    expect(after).toEqual(before);
    for (const [host, peer] of cluster.peers) {
      const left = dividers.includes(host) ? 1 : 0;
      expect([peer.vpcs.size, peer.subnets.size, peer.tables.size]).toEqual([left, 0, left]);
    }
    expect(await cluster.api.call('createSubnet', request)).toMatchObject({ number: 2 });
    await cluster.api.call('deleteVpc', { name: 'acme', cascade: true });
    for (const peer of cluster.peers.values()) {
      expect([peer.vpcs.size, peer.subnets.size, peer.tables.size]).toEqual([0, 0, 0]);
    }
  });

  it('are known whole to every divider, and to nobody else but their bouncers', async () => {
    const { vni } = await acme();
    const knowing = () => [...cluster.peers.keys()].filter((host) => cluster.peers.get(host)?.tables.has(`${vni}/0`));
    await expect.poll(() => knowing().length).toBe(2);
    const dividers = knowing();
    for (const n of [1, 2, 3]) {
      const subnet = { vpc: 'acme', name: `s${n}`, cidrs: [`10.0.${n}.0/24`], bouncerHosts: dividers.slice(0, 1) };
      await cluster.api.call('createSubnet', subnet);
      for (const host of dividers) {
        expect(cluster.peers.get(host)?.subnets.get(`${vni}/${n}`)?.value.name).toBe(`s${n}`);
      }
    }
    expect([...cluster.peers].filter(([, peer]) => peer.vpcs.has(vni)).map(([host]) => host)).toEqual(dividers);
    // Who comes back has it all with the snapshot, each table before the route to it.
    const back = await cluster.peer(Number(dividers[1]?.slice(1)));
    expect([...back.tables.keys()].sort()).toEqual([0, 1, 2, 3].map((n) => `${vni}/${n}`));
    const told = back.batches.flatMap(({ changes }) => changes.map(({ object }) => object.oneofKind));
    expect(told).toEqual(['vpc', 'table', 'subnet', 'table', 'subnet', 'table', 'subnet', 'table']);
    await cluster.api.call('deleteSubnet', { vpc: 'acme', name: 's2' });
    for (const host of dividers) {
      const peer = cluster.peers.get(host);
      expect([...(peer?.subnets.keys() ?? [])].sort()).toEqual([`${vni}/1`, `${vni}/3`]);
      expect(peer?.tables.size).toBe(3);
    }
  });

  it('can be wished other bouncers and dividers; tables are not touched by that', async () => {
    const { vni } = await acme();
    const subnet = { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncerHosts: ['h1'] };
    await cluster.api.call('createSubnet', subnet);
    const tables = async () => Object.entries(await cluster.dump()).filter(([key]) => key.includes(`/slots/${vni}/`));
    const before = await tables();
    const wish = { vpc: 'acme', name: 'web' };
    expect(await cluster.api.call('updateVpc', { name: 'acme', dividers: 3 })).toMatchObject({ dividers: 3 });
    expect(await cluster.api.call('updateVpc', { name: 'acme' })).toMatchObject({ dividers: 2 });
    const pinned = await cluster.api.call('updateSubnet', { ...wish, bouncerHosts: ['h2', 'h3'] });
    expect(pinned).toMatchObject({ bouncers: 2, bouncerHosts: ['h2', 'h3'], number: 1, cidrs: ['10.0.1.0/24'] });
    const three = await cluster.api.call('updateSubnet', { ...wish, bouncers: 3, bouncerHosts: ['h3'] });
    expect(three).toMatchObject({ bouncers: 3, bouncerHosts: ['h3'] });
    expect(await cluster.api.call('getSubnet', wish)).toEqual(three);
    expect(await tables()).toEqual(before);
    const stored = await cluster.dump();
    const refused: ['updateVpc' | 'updateSubnet', object, number, string][] = [
      ['updateVpc', { name: 'other', dividers: 1 }, 5, 'VPC_NOT_FOUND'],
      ['updateVpc', { name: 'acme', dividers: 4 }, 9, 'TOO_MANY_DIVIDERS'],
      ['updateVpc', { name: 'acme', dividers: 65 }, 3, 'TOO_MANY_DIVIDERS'],
      ['updateSubnet', { ...wish, name: 'other', bouncers: 1 }, 5, 'SUBNET_NOT_FOUND'],
      ['updateSubnet', { ...wish, bouncers: 4 }, 9, 'TOO_MANY_BOUNCERS'],
      ['updateSubnet', { ...wish, bouncerHosts: ['h9'] }, 5, 'HOST_NOT_FOUND'],
      ['updateSubnet', { ...wish, bouncers: 1, bouncerHosts: ['h1', 'h2'] }, 3, 'TOO_MANY_BOUNCER_HOSTS'],
      ['updateSubnet', { ...wish, bouncerHosts: ['h1', 'h1'] }, 3, 'DUPLICATE_HOST'],
    ];
    for (const [method, request, code, reason] of refused) {
      const error = await cluster.api.refused(method, request);
      expect({ request, code: error.code, reason: error.reason }).toEqual({ request, code, reason });
    }
    expect(await cluster.dump()).toEqual(stored);
  });

  it('are refused with a reason, and nothing is left half-made', async () => {
    await acme();
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'] });
    const before = await cluster.dump();
    const vpc = { name: 'x', cidrs: ['10.0.0.0/16'] };
    const vpcs: [object, number, string][] = [
      [{ ...vpc, name: 'X' }, 3, 'INVALID_NAME'],
      [{ ...vpc, cidrs: [] }, 3, 'CIDR_MISSING'],
      [{ ...vpc, cidrs: ['10.0.0.1/16'] }, 3, 'CIDR_HOST_BITS'],
      [{ ...vpc, cidrs: ['10.0.0.0/33'] }, 3, 'INVALID_CIDR'],
      [{ ...vpc, cidrs: ['127.0.0.0/16'] }, 3, 'CIDR_RESERVED'],
      [{ ...vpc, cidrs: ['10.0.0.0/16', '10.1.0.0/16'] }, 3, 'CIDR_FAMILY'],
      [{ ...vpc, dividers: 1_000 }, 3, 'TOO_MANY_DIVIDERS'],
      [{ ...vpc, dividers: 4 }, 9, 'TOO_MANY_DIVIDERS'],
    ];
    for (const [request, code, reason] of vpcs) {
      const error = await cluster.api.refused('createVpc', request);
      expect({ request, code: error.code, reason: error.reason }).toEqual({ request, code, reason });
    }
    const subnet = { vpc: 'acme', name: 'x', cidrs: ['10.0.2.0/24'] };
    const subnets: [object, number, string][] = [
      [{ ...subnet, vpc: 'other' }, 5, 'VPC_NOT_FOUND'],
      [{ ...subnet, cidrs: ['10.1.0.0/24'] }, 3, 'CIDR_OUTSIDE_VPC'],
      [{ ...subnet, cidrs: ['10.0.1.128/25'] }, 9, 'CIDR_OVERLAP'],
      [{ ...subnet, cidrs: ['10.0.2.1/24'] }, 3, 'CIDR_HOST_BITS'],
      [{ ...subnet, bouncers: 4 }, 9, 'TOO_MANY_BOUNCERS'],
      [{ ...subnet, bouncerHosts: ['h9'] }, 5, 'HOST_NOT_FOUND'],
      [{ ...subnet, bouncerHosts: ['h1', 'h1'] }, 3, 'DUPLICATE_HOST'],
      [{ ...subnet, bouncers: 1, bouncerHosts: ['h1', 'h2'] }, 3, 'TOO_MANY_BOUNCER_HOSTS'],
      [{ ...subnet, name: 'web', cidrs: ['10.0.9.0/24'] }, 6, 'NAME_IN_USE'],
    ];
    for (const [request, code, reason] of subnets) {
      const error = await cluster.api.refused('createSubnet', request);
      expect({ request, code: error.code, reason: error.reason }).toEqual({ request, code, reason });
    }
    expect(await cluster.dump()).toEqual(before);
  });

  it('that overlap are refused also when they are created at the same time', async () => {
    await acme();
    const racers = Array.from({ length: 6 }, (_, n) =>
      cluster.api.call('createSubnet', { vpc: 'acme', name: `s${n}`, cidrs: ['10.0.7.0/24'] }).then(
        () => 0,
        ({ code }: { code: number }) => code,
      ),
    );
    const outcomes = await Promise.all(racers);
    expect(outcomes.sort()).toEqual([0, 9, 9, 9, 9, 9]);
  });

  it('in use are not deleted unless cascading is asked for', async () => {
    const vpc = await acme();
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'] });
    for (let n = 0; n < 60; n += 20) {
      await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          cluster.api.call('createEndpoint', {
            vpc: 'acme',
            subnet: 'web',
            name: `e${n + i}`,
            host: `h${1 + (i % 3)}`,
            mac: i === 0 ? `02:00:00:00:00:${10 + n}` : '',
          }),
        ),
      );
    }
    const before = await cluster.dump();
    const refusedSubnet = await cluster.api.refused('deleteSubnet', { vpc: 'acme', name: 'web' });
    expect(refusedSubnet).toMatchObject({ code: 9, reason: 'SUBNET_IN_USE', object: 'subnet acme/web' });
    expect(refusedSubnet.message).toContain('60 endpoints');
    expect(await cluster.api.refused('deleteVpc', { name: 'acme' })).toMatchObject({ code: 9, reason: 'VPC_IN_USE' });
    expect(await cluster.dump()).toEqual(before);
    await cluster.api.call('deleteVpc', { name: 'acme', cascade: true });
    const left = Object.keys(await cluster.dump()).filter(
      (key) => !/\/(hosts|host-addresses|store|counters\/vni)/.test(key),
    );
    expect(left).toEqual([]);
    for (const peer of cluster.peers.values()) {
      expect([peer.vpcs.size, peer.subnets.size, peer.tables.size, peer.endpoints.size]).toEqual([0, 0, 0, 0]);
    }
    expect(vpc.vni).toBeGreaterThan(0);
  });

  it('that are being deleted take nothing new', async () => {
    await acme();
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncerHosts: ['h3'] });
    await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'web', name: 'a', host: 'h1' });
    const peer = cluster.peers.get('h3');
    peer?.hold(true);
    const cascade = cluster.api.call('deleteSubnet', { vpc: 'acme', name: 'web', cascade: true });
    await peer?.until(() => [...peer.subnets.values()].some(({ value }) => value.meta?.deleting === true));
    expect(
      await cluster.api.refused('createEndpoint', { vpc: 'acme', subnet: 'web', name: 'b', host: 'h1' }),
    ).toMatchObject({ code: 9, reason: 'BEING_DELETED' });
    peer?.hold(false);
    await cascade;
  });

  it('that are deleted with what is inside say which host has not forgotten it', async () => {
    const { vni } = await acme();
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncerHosts: ['h3'] });
    // One that neither bounces nor divides.
    await expect.poll(() => cluster.peers.get('h3')?.tables.get(`${vni}/0`)).toBeDefined();
    const dividers =
      cluster.peers
        .get('h3')
        ?.tables.get(`${vni}/0`)
        ?.value.owners.map(({ host }) => host) ?? [];
    await cluster.peer(4);
    const host = ['h1', 'h2', 'h4'].find((one) => !dividers.includes(one)) ?? '';
    await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'web', name: 'a', host });
    cluster.peers.get(host)?.hold(true);
    const error = await cluster.api.refused('deleteSubnet', { vpc: 'acme', name: 'web', cascade: true });
    expect(error).toMatchObject({ code: 4, reason: 'HOSTS_NOT_READY', object: 'subnet acme/web', hosts: [host] });
    cluster.peers.get(host)?.hold(false);
    expect(await cluster.api.refused('getSubnet', { vpc: 'acme', name: 'web' })).toMatchObject({ code: 5 });
  }, 30_000);

  it('that are deleted with what is inside stop at the deadline, and go on when deleted again', async () => {
    await acme();
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncerHosts: ['h3'] });
    const names = Array.from({ length: 60 }, (_, n) => `e${n}`);
    await Promise.all(
      names.map((name) => cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'web', name, host: 'h1' })),
    );
    const request = { vpc: 'acme', name: 'web', cascade: true };
    cluster.peers.get('h3')?.hold(true);
    expect(await cluster.api.refused('deleteSubnet', request, 1_500)).toMatchObject({ code: 4 });
    cluster.peers.get('h3')?.hold(false);
    await cluster.api.call('getSubnet', request);
    const { endpoints } = await cluster.api.call('listEndpoints', { vpc: 'acme', subnet: 'web' });
    expect(endpoints.length).toBeGreaterThan(30);
    await cluster.api.call('deleteSubnet', request);
    expect(await cluster.api.refused('getSubnet', request)).toMatchObject({ code: 5 });
  }, 30_000);
});

describe('a vpc that is made before there is a host', () => {
  it('gets its dividers with its first subnet, as many of those wished for as there are hosts', async () => {
    const cluster = await startCluster({ hosts: 0 });
    try {
      const vpcs = [
        ['none', 0, 2],
        ['three', 3, 3],
      ] as const;
      for (const [name, dividers] of vpcs)
        await cluster.api.call('createVpc', { name, cidrs: ['10.0.0.0/16'], dividers });
      const subnet = { vpc: 'none', name: 'web', cidrs: ['10.0.1.0/24'] };
      expect(await cluster.api.refused('createSubnet', subnet)).toMatchObject({ code: 9, reason: 'NO_ELIGIBLE_HOST' });
      for (const n of [1, 2]) await cluster.peer(n);
      for (const [vpc, , dividers] of vpcs) {
        const { vni } = await cluster.api.call('createSubnet', { ...subnet, vpc });
        expect(await cluster.api.call('getVpc', { name: vpc })).toMatchObject({ dividers });
        for (const peer of cluster.peers.values()) {
          expect(peer.tables.get(`${vni}/0`)?.value.owners.map(({ host }) => host)).toEqual(['h1', 'h2']);
        }
      }
    } finally {
      await cluster.close();
    }
  });
});
