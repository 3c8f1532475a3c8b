import { SlotState, type SlotTable } from '@megrez/model';
import { type PlaceHost, place } from '@megrez/ring';
import { keys, openStore, type Store } from '@megrez/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';
import type { Peer } from '../testing/peer';

const web = { vpc: 'acme', subnet: 'web' };

describe('a changed slot table', () => {
  let cluster: Cluster;
  let store: Store;
  beforeAll(async () => {
    cluster = await startCluster({ lead: false, hosts: 4 });
    store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    await startAcme(cluster.api, { bouncers: 2, bouncerHosts: ['h1', 'h2'] });
    for (let n = 0; n < 40; n += 1) {
      await cluster.api.call('createEndpoint', { ...web, name: `e${n}`, host: n % 2 === 0 ? 'h1' : 'h3' });
    }
  });
  afterAll(async () => {
    await store.close();
    await cluster.close();
  });

  const hosts: PlaceHost[] = [1, 2, 3, 4].map((n) => ({
    name: `h${n}`,
    address: `192.168.0.${n}`,
    weight: 0,
    zone: '',
    eligible: true,
  }));
  const move = async (...pinned: string[]): Promise<void> => {
    const subnet = await cluster.api.call('getSubnet', { vpc: 'acme', name: 'web' });
    const key = keys.slots(subnet.vni, subnet.number);
    const table = await store.get(key);
    const next = place({
      vni: subnet.vni,
      subnet: subnet.number,
      hosts: hosts.filter(({ name }) => pinned.includes(name)),
      bouncers: pinned.length,
      pinned,
      ...(table === undefined ? {} : { table: table.value }),
    });
    await store.txn([], [{ kind: 'put', key, value: next }]);
  };
  const held = (host: string) =>
    [...((cluster.peers.get(host) as Peer).endpoints.values() ?? [])].map(({ value }) => value);
  /** What each host must hold: its own endpoints and those whose slots it holds. */
  const settled = async (): Promise<void> => {
    const { endpoints } = await cluster.api.call('listEndpoints', { ...web });
    for (const [host, peer] of cluster.peers) {
      const table = (await store.get(keys.slots(endpoints[0]?.vni ?? 0, 1)))?.value;
      const mine = endpoints.filter((endpoint) => {
        const holders = table?.slots[endpoint.slot]?.holders.map(({ owner }) => table.owners[owner]?.host);
        return endpoint.host === host || holders?.includes(host);
      });
      const names = mine.map(({ name }) => name).sort();
      await expect
        .poll(
          () =>
            held(host)
              .map(({ name }) => name)
              .sort(),
          { timeout: 10_000 },
        )
        .toEqual(names);
      const dividers = (await store.get(keys.slots(endpoints[0]?.vni ?? 0, 0)))?.value.owners ?? [];
      const divides = dividers.some((owner) => owner.host === host);
      const known = [
        ...(divides || endpoints.some((endpoint) => endpoint.host === host) ? ['1/0'] : []),
        ...(divides || names.length > 0 ? ['1/1'] : []),
      ];
      expect([...peer.tables.keys()].sort()).toEqual(known);
      expect([...peer.subnets.keys()]).toEqual(known.filter((key) => key === '1/1'));
      expect(peer.vpcs.size).toBe(known.length > 0 ? 1 : 0);
    }
  };

  it('brings slots to their new owners and takes them from the old ones', async () => {
    await settled();
    await move('h2', 'h4');
    await settled();
    await move('h1', 'h2', 'h4');
    await settled();
    await move('h3');
    await settled();
    expect(held('h3')).toHaveLength(40);
  });

  it('is compared by creates: those that come while it changes are at the right owners', async () => {
    const load = { made: 0 };
    const creating = (async () => {
      for (; load.made < 40; load.made += 1)
        await cluster.api.call('createEndpoint', { ...web, name: `n${load.made}`, host: 'h1' });
    })();
    for (let turn = 0; load.made < 40; turn += 1) await move(...(turn % 2 === 0 ? ['h2', 'h4'] : ['h3', 'h4']));
    await creating;
    await settled();
    expect(held('h4').filter(({ name }) => name.startsWith('n')).length).toBeGreaterThan(0);
  });
});

describe('a slot in motion', () => {
  let cluster: Cluster;
  let store: Store;
  beforeAll(async () => {
    cluster = await startCluster({ lead: false, hosts: 4 });
    store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h2'] });
    for (let n = 0; n < 20; n += 1) await cluster.api.call('createEndpoint', { ...web, name: `e${n}`, host: 'h1' });
  });
  afterAll(async () => {
    await store.close();
    await cluster.close();
  });

  const { LOADING, SERVING, LEAVING } = SlotState;
  /** Every slot of a table gets these holders. */
  const write = async (subnet: number, holders: readonly (readonly [string, SlotState])[]): Promise<number> => {
    const key = keys.slots(1, subnet);
    const table = (await store.get(key))?.value as SlotTable;
    const owners = holders.map(([host]) => ({ host, address: `192.168.0.${host.slice(1)}` }));
    const slots = table.slots.map(() => ({ holders: holders.map(([, state], owner) => ({ owner, state })) }));
    return (await store.txn([], [{ kind: 'put', key, value: { ...table, owners, slots, epoch: table.epoch + 1 } }]))
      .revision;
  };
  const peer = (host: string): Peer => cluster.peers.get(host) as Peer;
  const mappings = (host: string): string[] => [...peer(host).endpoints.values()].map(({ value }) => value.name);
  const create = (name: string, timeoutMs = 10_000) =>
    cluster.api.call('createEndpoint', { ...web, name, host: 'h1', timeoutMs });
  const refused = (name: string) => cluster.api.refused('createEndpoint', { ...web, name, host: 'h1', timeoutMs: 300 });

  it('is told to all its holders, whatever their state, and every change waits for all', async () => {
    await write(1, [
      ['h2', SERVING],
      ['h4', LOADING],
    ]);
    await create('n1');
    expect(mappings('h4')).toHaveLength(21);
    peer('h4').hold(true);
    expect(await refused('n2')).toMatchObject({ reason: 'HOSTS_NOT_READY', hosts: ['h4'] });
    peer('h4').hold(false);
    await write(1, [
      ['h2', LEAVING],
      ['h4', SERVING],
    ]);
    peer('h2').hold(true);
    expect(await refused('n3')).toMatchObject({ reason: 'HOSTS_NOT_READY', hosts: ['h2'] });
    expect(await cluster.api.refused('deleteEndpoint', { ...web, name: 'n1', timeoutMs: 300 })).toMatchObject({
      hosts: ['h2'],
    });
    expect(await cluster.api.refused('moveEndpoint', { ...web, name: 'e0', host: 'h3', timeoutMs: 300 })).toMatchObject(
      {
        hosts: ['h2'],
      },
    );
    peer('h2').hold(false);
    await expect.poll(() => mappings('h2').sort()).toEqual(mappings('h4').sort());
  });

  it('is loaded when its table is acknowledged, not before', async () => {
    peer('h3').hold(true);
    const before = peer('h3').batches.length;
    await write(1, [
      ['h4', SERVING],
      ['h3', LOADING],
    ]);
    await peer('h3').until(() => peer('h3').batches.length > before);
    // The acknowledgement of the table alone would let this one through.
    expect(await refused('n4')).toMatchObject({ hosts: ['h3'] });
    peer('h3').hold(false);
    await create('n5');
    expect(mappings('h3').sort()).toEqual(mappings('h4').sort());
  });

  it('of the dividers comes with every subnet', async () => {
    await cluster.api.call('createSubnet', { vpc: 'acme', name: 'db', cidrs: ['10.0.2.0/24'], bouncerHosts: ['h1'] });
    await write(0, [['h1', SERVING]]);
    await expect.poll(() => [...peer('h2').subnets.keys()]).toEqual([]);
    await write(0, [
      ['h1', SERVING],
      ['h2', LOADING],
    ]);
    await expect.poll(() => [...peer('h2').tables.keys()].sort()).toEqual(['1/0', '1/1', '1/2']);
    expect([...peer('h2').subnets.keys()].sort()).toEqual(['1/1', '1/2']);
    peer('h2').hold(true);
    const request = { vpc: 'acme', name: 'x', cidrs: ['10.0.3.0/24'], bouncerHosts: ['h1'] };
    const making = cluster.api.call('createSubnet', request);
    await peer('h2').until(() => peer('h2').subnets.has('1/3'));
    expect(peer('h2').tables.has('1/3')).toBe(true);
    peer('h2').hold(false);
    await making;
  });
});
