import type { Vpc } from '@megrez/model';
import { keys, openStore, type Store, type Watch } from '@megrez/store';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Context } from '../context';
import { emptyMirror } from '../mirror';
import { default_leases } from '../options';
import { endpointWriter } from '../provisioning/endpoint-writer';
import { createMetrics } from '../server/metrics';
import { recentAddresses } from '../support/recent';
import { type Cluster, startCluster } from '../testing/cluster';
import type { Peer } from '../testing/peer';
import { openPeers } from './peers';
import { routeBatch } from './route';
import { waitTable } from './wait-table';

describe('waiting for the users of a slot table', () => {
  let cluster: Cluster;
  let store: Store;
  let watch: Watch;
  let context: Context;
  let web = { vni: 0, number: 0, generation: 0 };

  beforeAll(async () => {
    cluster = await startCluster({ hosts: 0, controllers: 2 });
    const second = cluster.controllers[1]?.addresses[0] as string;
    for (const n of [1, 2]) await cluster.peer(n);
    await cluster.api.call('createVpc', { name: 'acme', cidrs: ['10.0.0.0/16'], dividers: 1 });
    // The VPC's only divider is h1 or h2; none of the later hosts.
    for (const n of [3, 4, 5, 6]) await cluster.peer(n, { server: second });
    const subnet = { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncerHosts: ['h3'] };
    const { vni, number, meta } = await cluster.api.call('createSubnet', subnet);
    web = { vni, number, generation: meta?.generation ?? 0 };
    for (const host of ['h2', 'h4', 'h6']) {
      await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'web', name: `on-${host}`, host });
    }
    // A controller to which no agent is connected.
    store = await openStore({ endpoints: [cluster.etcd.endpoint] });
    const mirror = emptyMirror();
    const peers = openPeers();
    context = {
      store,
      mirror,
      peers,
      incarnation: 'spec',
      sessions: new Map(),
      leases: default_leases,
      underlayPrefixes: [],
      log: pino({ level: 'silent' }),
      metrics: createMetrics(),
      version: '',
      recent: recentAddresses(1_000),
      writeEndpoint: endpointWriter(() => context),
      closing: new AbortController().signal,
    } as unknown as Context;
    watch = await store.watch((batch) => {
      routeBatch(mirror, batch, new Map());
      mirror.changed.raise();
    });
  });
  afterAll(async () => {
    context.peers.close();
    await watch.close();
    await store.close();
    await cluster.close();
  });

  const wait = (revision: number, timeout_ms: number, subnet = web.number) =>
    waitTable(context, web.vni, subnet, revision, performance.now() + timeout_ms);
  const hold = (host: string, on: boolean): void => (cluster.peers.get(host) as Peer).hold(on);
  /** Something that every host is told of which knows the VPC. */
  const touch = async (): Promise<number> => {
    const vpc = context.mirror.vpcs.get('acme')?.value;
    return (await store.txn([], [{ kind: 'put', key: keys.vpc('acme'), value: vpc as Vpc }])).revision;
  };

  it('names none when all have it', async () => {
    expect(await wait(web.generation, 5_000)).toEqual({ late: [], unattached: [] });
  });

  it('names the attached users at every controller that have not acknowledged, and nobody else', async () => {
    for (const host of ['h3', 'h4', 'h5']) hold(host, true);
    const revision = await touch();
    expect(await wait(revision, 600)).toEqual({ late: ['h3', 'h4'], unattached: [] });
    const all = wait(revision, 10_000);
    for (const host of ['h3', 'h4', 'h5']) hold(host, false);
    expect(await all).toEqual({ late: [], unattached: [] });
  });

  it('counts hosts with endpoints among the users of the dividers, and bouncers without not', async () => {
    for (const host of ['h3', 'h4']) hold(host, true);
    const revision = await touch();
    expect(await wait(revision, 600, 0)).toEqual({ late: ['h4'], unattached: [] });
    for (const host of ['h3', 'h4']) hold(host, false);
  });

  it('tells users that are detached apart', async () => {
    for (const host of ['h5', 'h6']) cluster.peers.get(host)?.close();
    const revision = await touch();
    expect(await wait(revision, 10_000)).toEqual({ late: [], unattached: ['h6'] });
    for (const n of [5, 6]) await cluster.peer(n);
    expect(await wait(revision, 5_000)).toEqual({ late: [], unattached: [] });
  }, 30_000);
});
