import { SlotState } from '@megrez/model';
import { expect, it } from 'vitest';
import { startAcme, startCluster } from '../testing/cluster';

it('a plan that is replaced while slots load lets those load, too, whom only the new one wants', async () => {
  const cluster = await startCluster({ hosts: 4 });
  try {
    await startAcme(cluster.api, { bouncers: 2, bouncerHosts: ['h1', 'h2'] });
    const { vni, number } = await cluster.api.call('getSubnet', { vpc: 'acme', name: 'web' });
    const table = () => cluster.peers.get('h1')?.tables.get(`${vni}/${number}`)?.value;
    const holders = (state: SlotState): string[] => {
      const found = table()?.slots.flatMap((slot) => slot.holders.filter((holder) => holder.state === state)) ?? [];
      return [...new Set(found.map(({ owner }) => table()?.owners[owner]?.host ?? ''))].sort();
    };
    cluster.peers.get('h3')?.hold(true);
    const web = { vpc: 'acme', name: 'web', bouncers: 2 };
    await cluster.api.call('updateSubnet', { ...web, bouncerHosts: ['h1', 'h3'] });
    await expect.poll(() => holders(SlotState.LOADING), { timeout: 5_000 }).toEqual(['h3']);
    await cluster.api.call('updateSubnet', { ...web, bouncerHosts: ['h3', 'h4'] });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    cluster.peers.get('h3')?.hold(false);
    const serving = async () => (await cluster.api.call('resolve', { vpc: 'acme', ip: '10.0.1.9' })).owners.toSorted();
    await expect.poll(serving, { timeout: 10_000 }).toEqual(['h3', 'h4']);
  } finally {
    await cluster.close();
  }
}, 40_000);
