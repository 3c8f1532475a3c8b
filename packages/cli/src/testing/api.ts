import {
  status as codes,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  Affinity,
  Endpoint,
  ErrorDetail,
  GetStatusResponse,
  Host,
  type ILookupService,
  type IProvisioningService,
  type IShardService,
  JobKind,
  JobState,
  lookupServiceDefinition,
  Protocol,
  provisioningServiceDefinition,
  ResolveResponse,
  Service,
  Shard,
  ShardJob,
  type ShardProgress,
  SlotState,
  Subnet,
  shardServiceDefinition,
  Vpc,
} from '@megrez/model';
import { afterAll, beforeAll } from 'vitest';
import { run } from '../run';

/** A controller's API over real gRPC, with answers that the tests choose; it notes what it was asked. */
const server = new Server();
export const asked: { readonly method: string; readonly request: object }[] = [];

/** Where it listens, and what tests change in its answers. */
export const api = {
  address: '',
  status: GetStatusResponse.create({}),
  endpoints: 3,
  jobs: [] as ShardJob[],
  /** What a stream of progress says, one after the other; `lost` ends it with UNAVAILABLE, as a killed controller does, `open` leaves it open. */
  progress: [] as (ShardProgress | 'lost' | 'open')[],
};

const acme = Vpc.create({ name: 'acme', cidrs: ['10.0.0.0/16'], vni: 7, dividers: 2, meta: { generation: 12 } });
const web = Subnet.create({
  vpc: 'acme',
  name: 'web',
  cidrs: ['10.0.1.0/24'],
  gateways: ['10.0.1.1'],
  bouncers: 1,
  bouncerHosts: ['h3'],
});
const endpointNumber = (i: number): Endpoint =>
  Endpoint.create({
    vpc: 'acme',
    subnet: 'web',
    name: `e${i}`,
    host: 'h1',
    ip: `10.0.1.${i}`,
    mac: `02:4d:0a:00:01:0${i}`,
    attachment: { kind: { oneofKind: 'tap', tap: { name: 'tap7' } } },
  });
export const shop = Service.create({
  vpc: 'acme',
  subnet: 'web',
  name: 'shop',
  ip: '10.0.1.9',
  ports: [
    { listen: 80, target: 8080, protocol: Protocol.TCP },
    { listen: 53, target: 53, protocol: Protocol.UDP },
  ],
  backends: [
    { subnet: 'web', endpoint: 'a', weight: 0 },
    { subnet: 'db', endpoint: 'b', weight: 50 },
  ],
  affinity: Affinity.CLIENT_IP,
  affinityTimeoutMs: 60_000,
});
export const h1 = Host.create({
  name: 'h1',
  address: '172.16.0.1',
  status: {
    attached: true,
    endpoints: 3,
    lastPingMs: 12,
    report: { nic: 'eth0', nicHook: 'native', endpointMtu: 1430 },
  },
});
export const h2 = Host.create({ name: 'h2', address: '172.16.0.2', zone: 'z1', ineligible: true, weight: 200 });

/** A unary method that notes the request and answers it, or fails with what `reply` throws. */
const answer =
  <I extends object, O>(method: string, reply: (request: I) => O): handleUnaryCall<I, O> =>
  (call, callback) => {
    asked.push({ method, request: call.request });
    try {
      callback(null, reply(call.request));
    } catch (error) {
      callback(error as ServiceError);
    }
  };

const provisioning: Partial<IProvisioningService> = {
  createVpc: answer('createVpc', () => acme),
  getVpc: answer('getVpc', () => acme),
  listVpcs: answer('listVpcs', () => ({ vpcs: [acme], nextPageToken: '' })),
  updateVpc: answer('updateVpc', (request) => ({ ...acme, ...request })),
  deleteVpc: answer('deleteVpc', () => acme),
  createSubnet: answer('createSubnet', () => web),
  getSubnet: answer('getSubnet', () => web),
  updateSubnet: answer('updateSubnet', (request) => ({ ...web, ...request })),
  listSubnets: answer('listSubnets', () => ({ subnets: [], nextPageToken: '' })),
  createEndpoint: answer('createEndpoint', (request) => {
    if (request.name === 'taken') throw refusal;
    return { ...endpointNumber(2), name: request.name };
  }),
  getEndpoint: answer('getEndpoint', () => {
    throw absent;
  }),
  // Pages of two.
  listEndpoints: answer('listEndpoints', ({ pageToken }) => {
    const first = Number(pageToken || 2);
    const all = Array.from({ length: api.endpoints }, (_, i) => endpointNumber(i + 2));
    const page = all.slice(first - 2, first);
    return { endpoints: page, nextPageToken: first < api.endpoints ? `${first + 2}` : '' };
  }),
  deleteEndpoint: answer('deleteEndpoint', () => endpointNumber(2)),
  createService: answer('createService', () => shop),
  getService: answer('getService', () => shop),
  listServices: answer('listServices', () => ({
    services: [{ ...shop, backends: shop.backends.map((one) => ({ ...one, down: one.endpoint === 'b' })) }],
    nextPageToken: '',
  })),
  updateService: answer('updateService', (request) => ({ ...shop, ...request })),
  deleteService: answer('deleteService', () => shop),
  listHosts: answer('listHosts', () => ({ hosts: [h1, h2], nextPageToken: '' })),
  getHost: answer('getHost', () => h2),
  updateHost: answer('updateHost', (request) => ({ ...h2, ...request })),
  getStatus: answer('getStatus', () => api.status),
};

/** A stream that notes the request and says what the tests chose; what is said is not said again. */
const stream =
  <I extends object>(method: string): handleServerStreamingCall<I, ShardProgress> =>
  (call) => {
    asked.push({ method, request: call.request });
    while (api.progress.length > 0) {
      const next = api.progress.shift() as ShardProgress | 'lost' | 'open';
      if (next === 'open') return;
      if (next === 'lost') {
        call.emit('error', Object.assign(new Error('gone'), { code: codes.UNAVAILABLE, details: 'gone' }));
        return;
      }
      call.write(next);
    }
    call.end();
  };

const shard: IShardService = {
  listShards: answer('listShards', () => ({
    shards: [
      Shard.create({
        vpc: 'acme',
        host: 'h1',
        epoch: 3,
        primarySlots: 256,
        entries: 2,
        state: SlotState.SERVING,
        attached: true,
      }),
      Shard.create({
        ...{ vpc: 'acme', subnet: 'web', host: 'h2', epoch: 9, primarySlots: 1, secondarySlots: 2, entries: 40 },
        ...{ slots: [0, 1, 2, 9], loadingSlots: 1, state: SlotState.LOADING, job: 7, lookupsPerSecond: 12 },
      }),
    ],
  })),
  planRebalance: answer('planRebalance', () => ({
    moves: [3, 4, 5].map((slot) => ({
      ...{
        vpc: 'acme',
        subnet: 'web',
        slot,
        from: 'h1',
        to: 'h2',
        state: SlotState.UNSPECIFIED,
        why: 'h1 has too many',
      },
    })),
    entries: 12,
    problems: ['vpc beta: one host for two dividers'],
  })),
  rebalance: stream('rebalance'),
  drain: stream('drain'),
  undrain: stream('undrain'),
  moveSlots: stream('moveSlots'),
  watchProgress: stream('watchProgress'),
  listJobs: answer('listJobs', () => ({ jobs: api.jobs })),
  pauseJob: answer('pauseJob', ({ job }) =>
    ShardJob.create({ id: job, kind: JobKind.DRAIN, host: 'h1', state: JobState.PAUSED }),
  ),
  resumeJob: answer('resumeJob', ({ job }) =>
    ShardJob.create({ id: job, kind: JobKind.DRAIN, host: 'h1', state: JobState.RUNNING }),
  ),
  cancelJob: answer('cancelJob', ({ job }) =>
    ShardJob.create({ id: job, kind: JobKind.DRAIN, host: 'h1', state: JobState.CANCELLING }),
  ),
};

const metadata = new Metadata();
metadata.set(
  'megrez-error-bin',
  Buffer.from(ErrorDetail.toBinary({ reason: 'NAME_IN_USE', object: 'endpoint acme/web/taken', hosts: [] })),
);
const absent = Object.assign(new Error('no such thing'), { code: codes.NOT_FOUND, details: 'no such thing', metadata });
const refusal = Object.assign(new Error('it exists'), { code: codes.ALREADY_EXISTS, details: 'it exists', metadata });

/** To be called by each spec file. */
export const serveApi = (): void => {
  beforeAll(async () => {
    const lookup: ILookupService = {
      resolve: answer('resolve', ({ ip, viaBouncer }) =>
        ResolveResponse.create({
          vpc: 'acme',
          subnet: 'web',
          vni: 7,
          slot: 119,
          epoch: 1,
          owners: ['h3'],
          endpoint: ip === '10.0.1.2' ? { ...endpointNumber(2), hostAddress: '172.16.0.1' } : undefined,
          answers: viaBouncer
            ? [{ host: 'h3', found: true, endpointHostAddress: '172.16.0.1', mac: '02:4d:0a:00:01:02', generation: 33 }]
            : [],
        }),
      ),
    };
    server.addService(provisioningServiceDefinition, provisioning as IProvisioningService);
    server.addService(lookupServiceDefinition, lookup);
    server.addService(shardServiceDefinition, shard);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    api.address = `127.0.0.1:${port}`;
  });

  afterAll(() => server.forceShutdown());
};

/** Runs a command line, words separated by spaces. */
export const megrez = async (
  line: string,
  env: Record<string, string> = { MEGREZ_SERVER: api.address },
  columns?: number,
) => {
  let stdout = '';
  let stderr = '';
  asked.length = 0;
  const code = await run(line.split(' ').filter(Boolean), {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    env,
    columns,
  });
  return { code, stdout, stderr };
};

export const lines = (...texts: string[]): string => `${texts.join('\n')}\n`;
