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
    cluster = await startCluster({ hosts: 4 });
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
