/** A caller of ShardService, for specs: its streams as lists that end. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  JobState,
  type ListJobsResponse,
  type ListShardsResponse,
  type PlanRebalanceResponse,
  type ShardJob,
  type ShardProgress,
  shardServiceDefinition,
} from '@megrez/model';
import { type ApiError, apiError } from './api';

type Starting = 'rebalance' | 'drain' | 'undrain' | 'moveSlots' | 'watchProgress';

interface Unary {
  listShards: ListShardsResponse;
  planRebalance: PlanRebalanceResponse;
  listJobs: ListJobsResponse;
  pauseJob: ShardJob;
  resumeJob: ShardJob;
  cancelJob: ShardJob;
}

export interface Shards {
  call<M extends keyof Unary>(method: M, request?: object): Promise<Unary[M]>;
  /** Everything that was told until the end. Rejects with the stream's error. */
  run(method: Starting, request?: object, told?: (progress: ShardProgress) => void): Promise<ShardProgress[]>;
  /** The job, as soon as it is stored; the caller hangs up. */
  start(method: Starting, request?: object): Promise<ShardJob>;
  /** Resolves when the job has ended. */
  ended(job: number): Promise<ShardJob>;
  refused(method: Starting | keyof Unary, request?: object): Promise<ApiError>;
  close(): void;
}

const defaults = {
  vpc: '',
  subnet: '',
  host: '',
  to: '',
  from: '',
  slots: [],
  job: 0,
  withoutEntries: false,
  active: false,
};

const methods = shardServiceDefinition as unknown as Record<
  string,
  {
    path: string;
    responseStream: boolean;
    requestSerialize: (value: object) => Buffer;
    responseDeserialize: (bytes: Buffer) => never;
  }
>;

export const connectShards = (server: string): Shards => {
  const client = new Client(server, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const method = (name: string) => methods[name] as (typeof methods)[string];
  const call: Shards['call'] = (name, request = {}) =>
    new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = method(name);
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { ...defaults, ...request },
        (error, value) => (error === null ? resolve(value as never) : reject(error)),
      );
    });
  const open = (name: string, request: object) => {
    const { path, requestSerialize, responseDeserialize } = method(name);
    return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { ...defaults, ...request });
  };
  const run: Shards['run'] = (name, request = {}, told = () => {}) =>
    new Promise((resolve, reject) => {
      const seen: ShardProgress[] = [];
      const stream = open(name, request);
      stream.on('data', (progress: ShardProgress) => {
        seen.push(progress);
        told(progress);
      });
      stream.on('error', reject);
      stream.on('end', () => resolve(seen));
    });
  return {
    call,
    run,
    start: (name, request = {}) =>
      new Promise((resolve, reject) => {
        const stream = open(name, request);
        stream.on('data', ({ job }: ShardProgress) => {
          stream.cancel();
          if (job !== undefined) resolve(job);
        });
        stream.on('error', reject);
      }),
    ended: async (id) => {
      for (;;) {
        const job = (await call('listJobs')).jobs.find((one) => one.id === id);
        if (job === undefined) throw new Error(`job ${id} is forgotten`);
        if ([JobState.DONE, JobState.CANCELLED, JobState.FAILED].includes(job.state)) return job;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    refused: async (name, request = {}) => {
      const outcome = method(name).responseStream ? run(name as Starting, request) : call(name as never, request);
      const error = await outcome.then(
        () => undefined,
        (cause: ServiceError) => cause,
      );
      if (error === undefined) throw new Error(`${name} succeeded`);
      return apiError(error);
    },
    close: () => client.close(),
  };
};
