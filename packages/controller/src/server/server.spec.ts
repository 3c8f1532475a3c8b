import { Client, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HealthCheckRequest, HealthCheckResponse } from '../gen/grpc/health/v1/health';
import { ServerReflectionRequest, ServerReflectionResponse } from '../gen/grpc/reflection/v1/reflection';
import { type Cluster, startAcme, startCluster } from '../testing/cluster';

describe('the server', () => {
  let cluster: Cluster;
  let client: Client;
  let metrics: string;
  beforeAll(async () => {
    cluster = await startCluster({ hosts: 2 });
    const controller = await cluster.controller({ metrics: '127.0.0.1:0' });
    metrics = controller.metrics as string;
    client = new Client(controller.addresses[0] as string, credentials.createInsecure());
  });
  afterAll(async () => {
    client.close();
    await cluster.close();
  });

  const health = (service: string): Promise<HealthCheckResponse> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (request: HealthCheckRequest) => Buffer.from(HealthCheckRequest.toBinary(request)),
        (bytes) => HealthCheckResponse.fromBinary(bytes),
        { service },
        (error, response) => (error === null ? resolve(response as HealthCheckResponse) : reject(error)),
      );
    });
  const reflect = (version: string, ...requests: ServerReflectionRequest['messageRequest'][]) =>
    new Promise<ServerReflectionResponse['messageResponse'][]>((resolve, reject) => {
      const stream = client.makeBidiStreamRequest(
        `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
        (request: ServerReflectionRequest) => Buffer.from(ServerReflectionRequest.toBinary(request)),
        (bytes) => ServerReflectionResponse.fromBinary(bytes),
      );
      const answers: ServerReflectionResponse['messageResponse'][] = [];
      stream.on('data', (response: ServerReflectionResponse) => answers.push(response.messageResponse));
      stream.on('error', reject);
      stream.on('end', () => resolve(answers));
      for (const messageRequest of requests) stream.write({ host: '', messageRequest });
      stream.end();
    });

  it('answers the standard health service', async () => {
    expect(await health('')).toEqual({ status: 1 });
    expect(await health('megrez.v1.ProvisioningService')).toEqual({ status: 1 });
    await expect(health('nobody')).rejects.toMatchObject({ code: 5 });
  });

  it.each(['v1', 'v1alpha'])('describes itself by reflection %s', async (version) => {
    const [list, symbol, method, file, unknown] = await reflect(
      version,
      { oneofKind: 'listServices', listServices: '' },
      { oneofKind: 'fileContainingSymbol', fileContainingSymbol: 'megrez.v1.ProvisioningService' },
      { oneofKind: 'fileContainingSymbol', fileContainingSymbol: 'megrez.v1.LookupService.Resolve' },
      { oneofKind: 'fileByFilename', fileByFilename: 'megrez/v1/vpc.proto' },
      { oneofKind: 'fileContainingSymbol', fileContainingSymbol: 'nobody' },
    );
    const names =
      list?.oneofKind === 'listServicesResponse' ? list.listServicesResponse.service.map(({ name }) => name) : [];
    expect(names).toEqual(
      expect.arrayContaining(['grpc.health.v1.Health', 'megrez.v1.NodeService', 'megrez.v1.ProvisioningService']),
    );
    const files = (answer: typeof symbol): number =>
      answer?.oneofKind === 'fileDescriptorResponse' ? answer.fileDescriptorResponse.fileDescriptorProto.length : 0;
    // provisioning.proto imports endpoint, host, service, subnet and vpc, and these common.
    expect(files(symbol)).toBe(7);
    expect(files(method)).toBe(3);
    expect(files(file)).toBe(2);
    expect(unknown).toMatchObject({ oneofKind: 'errorResponse', errorResponse: { errorCode: 5 } });
  });

  it('answers what is absurdly long with an error that can be sent', async () => {
    const name = 'a'.repeat(200_000);
    expect(await cluster.api.refused('createVpc', { name, cidrs: ['10.0.0.0/16'] })).toMatchObject({
      code: 3,
      reason: 'INVALID_NAME',
    });
    expect(await cluster.api.refused('createVpc', { name: 'acme', cidrs: [name] })).toMatchObject({
      code: 3,
      reason: 'INVALID_CIDR',
      object: 'vpc acme',
    });
    // A character of three bytes is nine of a header.
    expect(await cluster.api.refused('createVpc', { name: '€'.repeat(9_999) })).toMatchObject({ code: 3 });
  });

  it('pages its lists and refuses tokens that are not its own', async () => {
    for (const name of ['v1', 'v2', 'v3']) await cluster.api.call('createVpc', { name, cidrs: ['10.0.0.0/16'] });
    const first = await cluster.api.call('listVpcs', { pageSize: 2 });
    const second = await cluster.api.call('listVpcs', { pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.vpcs, ...second.vpcs].map(({ name }) => name)).toEqual(['v1', 'v2', 'v3']);
    expect(second.nextPageToken).toBe('');
    expect(await cluster.api.refused('listVpcs', { pageToken: '!!' })).toMatchObject({
      code: 3,
      reason: 'INVALID_PAGE_TOKEN',
    });
    expect(await cluster.api.refused('listVpcs', { pageSize: 5_000 })).toMatchObject({ code: 3 });
  });

  it('serves metrics, liveness and readiness', async () => {
    await startAcme(cluster.api);
    await cluster.api.call('createEndpoint', { vpc: 'acme', subnet: 'web', name: 'a', host: 'h1' });
    const get = (path: string) => fetch(`http://${metrics}${path}`);
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(200);
    expect((await get('/other')).status).toBe(404);
    const text = await (await get('/metrics')).text();
    for (const name of [
      'megrez_endpoint_creation_seconds',
      'megrez_apply_wait_seconds',
      'megrez_store_operations',
      'megrez_sessions',
      'megrez_session_messages_total',
      'megrez_watch_silent_seconds',
    ]) {
      expect(text).toContain(`# TYPE ${name}`);
    }
  });
});
