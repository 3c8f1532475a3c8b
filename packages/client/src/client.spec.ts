import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  ErrorDetail,
  type INodeService,
  type IProvisioningService,
  MegrezError,
  nodeServiceDefinition,
  provisioningServiceDefinition,
  SessionResponse,
  Vpc,
  WatchResponse,
} from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, connect, defaultServers, firstReachable, validateServer } from './index';

const directory = mkdtempSync(join(tmpdir(), 'megrez-client-'));
const socket = `unix:${join(directory, 'controller')}`;
const server = new Server();
let tcp: string;
const clients: Client[] = [];

const refusal = (detail: ErrorDetail | undefined, code = status.ALREADY_EXISTS) => {
  const metadata = new Metadata();
  if (detail !== undefined) metadata.set('megrez-error-bin', Buffer.from(ErrorDetail.toBinary(detail)));
  return { code, details: 'vpc acme exists', metadata };
};
const detail = { reason: 'NAME_IN_USE', object: 'vpc acme', hosts: ['h1', 'h2'] };

const open = (address: string, options = {}): Client => {
  const client = connect(address, options);
  clients.push(client);
  return client;
};

beforeAll(async () => {
  const provisioning: Partial<IProvisioningService> = {
    createVpc: ({ request }, callback) => {
      if (request.name === 'taken') callback(refusal(detail));
      else if (request.name === 'plain') callback(refusal(undefined, status.OUT_OF_RANGE));
      else callback(null, Vpc.create({ name: request.name, cidrs: request.cidrs, vni: 7 }));
    },
    // Never answers: only a deadline ends it.
    getVpc: () => {},
    watch: (call) => {
      call.write(WatchResponse.create({ object: 'vpc acme' }));
      call.emit('error', refusal(detail));
    },
  };
  const node: INodeService = {
    session: (call) => {
      call.on('data', () =>
        call.write(SessionResponse.create({ message: { oneofKind: 'pong', pong: { number: 1 } } })),
      );
      call.on('end', () => call.emit('error', refusal(detail)));
    },
  };
  server.addService(provisioningServiceDefinition, provisioning as IProvisioningService);
  server.addService(nodeServiceDefinition, node);
  const bind = (address: string): Promise<number> =>
    new Promise((resolve, reject) =>
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  tcp = `127.0.0.1:${await bind('127.0.0.1:0')}`;
  await bind(socket);
});

afterAll(() => {
  for (const client of clients) client.close();
  server.forceShutdown();
  rmSync(directory, { recursive: true });
});

const failure = async (call: PromiseLike<unknown>): Promise<MegrezError> => {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MegrezError);
  return error as MegrezError;
};

describe('connect', () => {
  test.each(['tcp', 'unix'])('calls over %s', async (kind) => {
    const client = open(kind === 'tcp' ? tcp : socket);
    const { response } = await client.provisioning.createVpc({
      name: 'acme',
      cidrs: ['10.0.0.0/16'],
      dividers: 0,
      requestId: '',
    });
    expect(response).toMatchObject({ name: 'acme', cidrs: ['10.0.0.0/16'], vni: 7 });
  });

  test("a refusal carries the controller's reason, object and hosts", async () => {
    const request = { name: 'taken', cidrs: [], dividers: 0, requestId: '' };
    expect(await failure(open(tcp).provisioning.createVpc(request))).toMatchObject({
      code: 'ALREADY_EXISTS',
      message: 'vpc acme exists',
      ...detail,
    });
    // The response alone, too.
    expect(await failure(open(tcp).provisioning.createVpc(request).response)).toMatchObject(detail);
  });

  test('a refusal without detail still has a code of ours', async () => {
    const request = { name: 'plain', cidrs: [], dividers: 0, requestId: '' };
    expect(await failure(open(tcp).provisioning.createVpc(request))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'OUT_OF_RANGE',
      object: `controller ${tcp}`,
    });
  });

  test('nobody there', async () => {
    const path = `unix:${join(directory, 'nobody')}`;
    expect(await failure(open(path).provisioning.getVpc({ name: 'acme' }))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'UNREACHABLE',
      object: `controller ${path}`,
    });
  });

  test('a deadline', async () => {
    expect(await failure(open(tcp, { deadline_ms: 50 }).provisioning.getVpc({ name: 'acme' }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      reason: 'NO_ANSWER',
    });
  });

  test('a method the controller has not', async () => {
    expect(
      await failure(open(tcp).shard.listShards({ vpc: '', subnet: '', host: '', withoutEntries: false })),
    ).toMatchObject({ code: 'UNIMPLEMENTED' });
  });

  test('a stream fails with the same error', async () => {
    const seen: string[] = [];
    const read = async (): Promise<void> => {
      for await (const message of open(tcp).provisioning.watch({ vpc: '' }).responses) seen.push(message.object);
    };
    expect(await failure(read())).toMatchObject(detail);
    expect(seen).toEqual(['vpc acme']);
  });

  test('a duplex stream too, by callbacks', async () => {
    const call = open(tcp).node.session({ timeout: 20_000 });
    const error = new Promise<Error>((resolve) => call.responses.onError(resolve));
    const message = new Promise((resolve) => call.responses.onMessage(resolve));
    await call.requests.send({ message: { oneofKind: 'ping', ping: { number: 1 } } });
    expect(await message).toMatchObject({ message: { oneofKind: 'pong' } });
    await call.requests.complete();
    expect(await error).toMatchObject({ name: 'MegrezError', ...detail });
    expect(await failure(call.status)).toMatchObject(detail);
  });
});

describe('firstReachable', () => {
  test('skips who does not listen', async () => {
    const nobody = `unix:${join(directory, 'nobody')}`;
    expect(await firstReachable([nobody, '127.0.0.1:1', socket, tcp])).toBe(socket);
    expect(await firstReachable(['127.0.0.1:1', tcp])).toBe(tcp);
    expect(await firstReachable([nobody, '127.0.0.1:1'])).toBe(nobody);
    expect(await firstReachable([nobody])).toBe(nobody);
    await expect(firstReachable([tcp, 'x'])).rejects.toMatchObject({ reason: 'INVALID_SERVER' });
  });
});

describe('defaultServers', () => {
  test('the environment, then the development cluster, then the standard address', () => {
    const dev = { MEGREZ_DEV_DIR: directory };
    expect(defaultServers(dev)).toEqual(['127.0.0.1:7400']);
    writeFileSync(join(directory, 'server'), '127.0.0.1:4242\n');
    expect(defaultServers(dev)).toEqual(['127.0.0.1:4242']);
    expect(defaultServers({ ...dev, MEGREZ_SERVER: 'c1:7400' })).toEqual(['c1:7400']);
    expect(defaultServers({ ...dev, MEGREZ_SERVER: 'c1:7400,c2:7400' })).toEqual(['c1:7400', 'c2:7400']);
  });

  test.each(['c1:7400', '127.0.0.1:1', '[::1]:7400', 'unix:/run/x', 'unix:///run/x'])('%s is an address', (address) => {
    expect(validateServer(address)).toBe(address);
  });
  test.each(['', 'c1', ':7400', 'c1:', 'c1:0', 'c1:65536', '::1:7400', 'unix:x', 'http://c1:7400', 'c 1:7400'])(
    "'%s' is none",
    (address) => {
      expect(() => validateServer(address)).toThrow(expect.objectContaining({ reason: 'INVALID_SERVER' }));
    },
  );
});
