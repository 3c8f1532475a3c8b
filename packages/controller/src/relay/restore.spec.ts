import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEtcd } from '@megrez/store/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';
import type { Peer } from '../testing/peer';

const web = { vpc: 'acme', subnet: 'web' };

describe('a store restored from a backup under running controllers', () => {
  const dirs = {
    live: mkdtempSync(join(tmpdir(), 'megrez-live-')),
    backup: mkdtempSync(join(tmpdir(), 'megrez-backup-')),
  };
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 2, controllers: 2, etcd: { dir: dirs.live } });
    await startAcme(cluster.api, { bouncers: 1, bouncerHosts: ['h2'] });
  });
  afterAll(async () => {
    await cluster.close();
    for (const dir of Object.values(dirs)) rmSync(dir, { recursive: true, force: true });
  });

  const backUp = async (): Promise<void> => {
    await cluster.etcd.kill();
    cpSync(dirs.live, dirs.backup, { recursive: true });
    await cluster.etcd.restart();
  };
  /** The backup with a store id of its own, written before anybody can read it. */
  const restore = async (): Promise<void> => {
    const other = await startEtcd({ dir: dirs.backup });
    const [key, value] = ['/megrez/v1/store', crypto.randomUUID()].map((text) => Buffer.from(text).toString('base64'));
    await fetch(`${other.endpoint}/v3/kv/put`, { method: 'POST', body: JSON.stringify({ key, value }) });
    await other.close();
    await cluster.etcd.kill();
    rmSync(dirs.live, { recursive: true });
    cpSync(dirs.backup, dirs.live, { recursive: true });
    await cluster.etcd.restart();
  };

  it('ends every session; agents that come back are told the new store id and exactly what there is', async () => {
    await cluster.api.call('createEndpoint', { ...web, name: 'kept', host: 'h1' });
    await backUp();
    for (let n = 0; n < 10; n += 1) await cluster.api.call('createEndpoint', { ...web, name: `lost${n}`, host: 'h1' });
    const old = [1, 2].map((n) => cluster.peers.get(`h${n}`) as Peer);
    await restore();
    for (const peer of old) expect(await peer.ended).toMatchObject({ code: 14 });
    for (const n of [1, 2]) await cluster.peer(n);
    for (const { host, welcome } of old) {
      expect(cluster.peers.get(host)?.welcome.storeId).not.toBe(welcome.storeId);
    }
    for (const [n, controller] of cluster.controllers.entries()) {
      await cluster.apiOf(controller).call('createEndpoint', { ...web, name: `new${n}`, host: 'h1' });
    }
    for (const peer of cluster.peers.values()) {
      const names = [...peer.endpoints.values()].map(({ value }) => value.name).sort();
      expect(names).toEqual(['kept', 'new0', 'new1']);
    }
  }, 60_000);
});
