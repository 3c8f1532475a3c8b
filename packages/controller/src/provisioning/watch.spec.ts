import { Client, type ClientReadableStream, credentials } from '@grpc/grpc-js';
import { provisioningServiceDefinition, type WatchResponse } from '@megrez/model';
import { startProxy } from '@megrez/store/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

describe('Watch', () => {
  let cluster: Cluster;
  let client: Client;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 1 });
    client = new Client(cluster.controllers[0]?.addresses[0] as string, credentials.createInsecure());
  });
  afterAll(async () => {
    client.close();
    await cluster.close();
  });

  const watch = async (
    vpc: string,
    at = client,
  ): Promise<{ told: WatchResponse[]; stream: ClientReadableStream<WatchResponse> }> => {
    const { path, requestSerialize, responseDeserialize } = provisioningServiceDefinition.watch as {
      path: string;
      requestSerialize: (request: { vpc: string }) => Buffer;
      responseDeserialize: (bytes: Buffer) => WatchResponse;
    };
    const stream = at.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { vpc });
    const told: WatchResponse[] = [];
    stream.on('data', (response: WatchResponse) => told.push(response));
    await new Promise<void>((resolve, reject) => {
      stream.once('metadata', () => resolve());
      stream.on('error', (error: { code: number }) => (error.code === 1 ? resolve() : reject(error)));
    });
    return { told, stream };
  };
  const lines = (told: readonly WatchResponse[]) =>
    told.map(({ deleted, object, value }) => `${deleted ? '-' : '+'} ${object} ${value.oneofKind ?? ''}`.trim());

  it('tells every change of a VPC, deletions by name, and nothing of another', async () => {
    const acme = await watch('acme');
    const all = await watch('');
    for (const name of ['acme', 'other']) {
      await cluster.api.call('createVpc', { name, cidrs: ['10.0.0.0/16'] });
      await cluster.api.call('createSubnet', { vpc: name, name: 'web', cidrs: ['10.0.1.0/24'] });
      await cluster.api.call('createEndpoint', { vpc: name, subnet: 'web', name: 'a', host: 'h1' });
      const ports = [{ listen: 80, target: 0, protocol: 0 }];
      await cluster.api.call('createService', { vpc: name, subnet: 'web', name: 'shop', ports });
      await cluster.api.call('deleteVpc', { name, cascade: true });
    }
    await cluster.api.call('updateHost', { name: 'h1', weight: 7 });
    const life = (vpc: string) => [
      `+ vpc ${vpc} vpc`,
      `+ subnet ${vpc}/web subnet`,
      `+ endpoint ${vpc}/web/a endpoint`,
      `+ service ${vpc}/web/shop service`,
      `+ vpc ${vpc} vpc`,
      `- service ${vpc}/web/shop`,
      `+ subnet ${vpc}/web subnet`,
      `- endpoint ${vpc}/web/a`,
      `- subnet ${vpc}/web`,
      `- vpc ${vpc}`,
    ];
    await expect.poll(() => lines(all.told)).toEqual([...life('acme'), ...life('other'), '+ host h1 host']);
    expect(lines(acme.told)).toEqual([...life('acme'), '+ host h1 host']);
    acme.stream.cancel();
    all.stream.cancel();
  });

  it('ends when the controller has missed changes that nobody can tell any more', async () => {
    const proxy = await startProxy(cluster.etcd.endpoint);
    const behind = await cluster.controller({ etcd: [proxy.endpoint] });
    const there = new Client(behind.addresses[0] as string, credentials.createInsecure());
    try {
      await startAcme(cluster.api);
      const web = { vpc: 'acme', subnet: 'web', name: 'a' };
      await cluster.api.call('createEndpoint', { ...web, host: 'h1' });
      const { stream } = await watch('acme', there);
      const ended = new Promise((resolve) => stream.on('error', resolve));
      proxy.freeze(true);
      await cluster.api.call('deleteEndpoint', web);
      const { meta } = await cluster.api.call('updateHost', { name: 'h1', weight: 9 });
      const compaction = { revision: String(meta?.generation), physical: true };
      await fetch(`${cluster.etcd.endpoint}/v3/kv/compaction`, { method: 'POST', body: JSON.stringify(compaction) });
      await cluster.api.call('updateHost', { name: 'h1' });
      proxy.cut();
      proxy.freeze(false);
      expect(await ended).toMatchObject({ code: 10, details: expect.stringContaining('list again') });
    } finally {
      there.close();
      await behind.close();
      await proxy.close();
    }
  });

  it('refuses what is no name', async () => {
    await expect(watch('Bad Name')).rejects.toMatchObject({ code: 3 });
  });
});
