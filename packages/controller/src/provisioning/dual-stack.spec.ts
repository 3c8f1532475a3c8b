import { parseAddress } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../testing/cluster';
import type { Peer } from '../testing/peer';

const web = { vpc: 'acme', subnet: 'web' };

describe('endpoints of subnets with IPv6', () => {
  let cluster: Cluster;
  let before: Record<string, string>;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 4 });
    await cluster.api.call('createVpc', { name: 'acme', cidrs: ['10.0.0.0/16', 'fd00:a::/48'] });
    const subnets: [string, string[]][] = [
      ['web', ['10.0.1.0/24', 'fd00:a:0:1::/64']],
      ['six', ['fd00:a:0:2::/64']],
      ['small', ['10.0.4.0/22', 'fd00:a:0:4::/120']],
    ];
    for (const [name, cidrs] of subnets) {
      await cluster.api.call('createSubnet', { vpc: 'acme', name, cidrs, bouncers: 2, bouncerHosts: ['h3', 'h4'] });
    }
    before = await cluster.dump();
  });
  afterAll(() => cluster.close());

  const peer = (host: string): Peer => cluster.peers.get(host) as Peer;
  const names = (host: string): string[] => [...peer(host).endpoints.values()].map(({ value }) => value.name).sort();
  const remove = (subnet: string, ...all: string[]) =>
    Promise.all(all.map((name) => cluster.api.call('deleteEndpoint', { vpc: 'acme', subnet, name })));

  it('have one address per family, the second with the number of the first', async () => {
    const made = await cluster.api.call('createEndpoint', { ...web, name: 'a', host: 'h1', ip: '10.0.1.7' });
    expect(made).toMatchObject({ ip: '10.0.1.7', ip6: 'fd00:a:0:1::7', mac: '02:4d:0a:00:01:07' });
    const chosen = await cluster.api.call('createEndpoint', { ...web, name: 'b', host: 'h1' });
    expect(chosen.ip6).toBe(`fd00:a:0:1::${Number(chosen.ip.split('.')[3]).toString(16)}`);
    const both = await cluster.api.call('createEndpoint', {
      ...web,
      name: 'c',
      host: 'h2',
      ip: '10.0.1.8,fd00:a:0:1::beef',
    });
    expect(both).toMatchObject({ ip: '10.0.1.8', ip6: 'fd00:a:0:1::beef' });
    const second = await cluster.api.call('createEndpoint', { ...web, name: 'd', host: 'h2', ip: 'fd00:a:0:1::99:1' });
    expect(second.ip).toMatch(/^10\.0\.1\./);
    expect(second.ip6).toBe('fd00:a:0:1::99:1');
    for (const host of ['h3', 'h4']) expect(names(host)).toEqual(['a', 'b', 'c', 'd']);
    // Under both slots it is one object.
    for (const ip of ['10.0.1.7', 'fd00:a:0:1::7']) {
      const answer = await cluster.api.call('resolve', { vpc: 'acme', ip });
      expect(answer).toMatchObject({ slot: slotOf(made.vni, parseAddress(ip)), endpoint: made });
    }
    const { endpoints } = await cluster.api.call('listEndpoints', web);
    expect(endpoints.map(({ name }) => name).sort()).toEqual(['a', 'b', 'c', 'd']);
    expect((await cluster.api.call('getStatus', {})).endpoints).toBe(4);
    await remove('web', 'a', 'b', 'c', 'd');
    expect(await cluster.dump()).toEqual(before);
    for (const host of cluster.peers.keys()) expect(names(host)).toEqual([]);
  });

  it('wait for the holders of both slots', async () => {
    const made = await cluster.api.call('createEndpoint', { ...web, name: 'w', host: 'h1', ip: '10.0.1.40' });
    expect(made.ip6).toBe('fd00:a:0:1::28');
    for (const host of ['h3', 'h4']) {
      peer(host).hold(true);
      const error = await cluster.api.refused('moveEndpoint', { ...web, name: 'w', host: 'h2', timeoutMs: 300 });
      expect(error).toMatchObject({ reason: 'HOSTS_NOT_READY', hosts: [host] });
      peer(host).hold(false);
      await cluster.api.call('moveEndpoint', { ...web, name: 'w', host: 'h1' });
    }
    for (const host of ['h3', 'h4']) expect(names(host)).toEqual(['w']);
    await remove('web', 'w');
    expect(await cluster.dump()).toEqual(before);
  });

  it('are refused with a reason, also for the second address', async () => {
    await cluster.api.call('createEndpoint', { ...web, name: 'taken', host: 'h1', ip: '10.0.1.9,fd00:a:0:1::50' });
    const stored = await cluster.dump();
    const x = { ...web, name: 'x', host: 'h1' };
    const cases: [object, number, string][] = [
      [{ ...x, ip: '10.0.1.10,10.0.1.11' }, 3, 'ADDRESS_FAMILY'],
      [{ ...x, ip: '10.0.1.10,fd00:b::1' }, 3, 'ADDRESS_OUTSIDE_SUBNET'],
      [{ ...x, ip: 'fd00:a:0:1::1' }, 3, 'ADDRESS_IS_GATEWAY'],
      [{ ...x, ip: '10.0.1.10,fd00:a:0:1::50' }, 6, 'ADDRESS_IN_USE'],
      [{ ...x, ip: 'fd00:a:0:1::50' }, 6, 'ADDRESS_IN_USE'],
      [{ ...x, subnet: 'six', ip: '10.0.1.10' }, 3, 'ADDRESS_OUTSIDE_SUBNET'],
      [{ ...x, subnet: 'six', ip: '10.0.1.10,fd00:a:0:2::10' }, 3, 'ADDRESS_OUTSIDE_SUBNET'],
    ];
    for (const [request, code, reason] of cases) {
      const error = await cluster.api.refused('createEndpoint', request);
      expect({ request, code: error.code, reason: error.reason }).toEqual({ request, code, reason });
    }
    expect(await cluster.dump()).toEqual(stored);
    // The number is taken in the second family: another address will do.
    const made = await cluster.api.call('createEndpoint', { ...x, ip: '10.0.1.80' });
    expect(made.ip).toBe('10.0.1.80');
    expect(made.ip6).not.toBe('fd00:a:0:1::50');
    await remove('web', 'taken', 'x');
  });

  it('of IPv6 alone have that as their first address', async () => {
    const six = { vpc: 'acme', subnet: 'six', host: 'h1' };
    const named = await cluster.api.call('createEndpoint', { ...six, name: 'n', ip: 'fd00:a:0:2::7' });
    expect(named).toMatchObject({ ip: 'fd00:a:0:2::7', ip6: '' });
    const chosen = await cluster.api.call('createEndpoint', { ...six, name: 'm' });
    expect(chosen.ip).toMatch(/^fd00:a:0:2:/);
    await remove('six', 'n', 'm');
  });

  it('get another second address when the first has no twin', async () => {
    const small = { vpc: 'acme', subnet: 'small', host: 'h1' };
    const made = await cluster.api.call('createEndpoint', { ...small, name: 's', ip: '10.0.6.9' });
    expect(made.ip6).toMatch(/^fd00:a:0:4::[0-9a-f]{1,2}$/);
    await remove('small', 's');
  });

  it('come back whole with a snapshot, and go in a cascade', async () => {
    for (let n = 0; n < 40; n += 1) await cluster.api.call('createEndpoint', { ...web, name: `e${n}`, host: 'h3' });
    const back = await cluster.peer(3);
    expect(names('h3')).toHaveLength(40);
    const told = back.batches.flatMap(({ changes }) => changes.filter(({ object }) => object.oneofKind === 'endpoint'));
    expect(told).toHaveLength(40);
    await cluster.api.call('deleteSubnet', { vpc: 'acme', name: 'web', cascade: true });
    const left = Object.keys(await cluster.dump()).filter((key) =>
      /\/(endpoints|by-host|names|held|moves)\//.test(key),
    );
    expect(left).toEqual([]);
    for (const host of cluster.peers.keys()) expect(names(host)).toEqual([]);
  });
});
