/** A caller of the API, for specs: requests with defaults, errors with their detail. */
import { Client, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  ErrorDetail,
  type ILookupServiceClient,
  type IProvisioningServiceClient,
  lookupServiceDefinition,
  provisioningServiceDefinition,
} from '@megrez/model';
import type { UnaryCall } from '@protobuf-ts/runtime-rpc';

/** Every method but the streaming one. */
type All = Omit<IProvisioningServiceClient, 'watch'> & ILookupServiceClient;
type Method = keyof All;
type Request<M extends Method> = Parameters<All[M]>[0];
type Response<M extends Method> = ReturnType<All[M]> extends UnaryCall<Request<M>, infer R> ? R : never;

export interface ApiError {
  readonly code: number;
  readonly reason: string;
  readonly object: string;
  readonly hosts: readonly string[];
  readonly message: string;
}

/** A request names the fields that it sets. */
export interface Api {
  call<M extends Method>(method: M, request: object, timeout_ms?: number): Promise<Response<M>>;
  /** The error that a call must end with; a call that succeeds is an error itself. */
  refused(method: Method, request: object, timeout_ms?: number): Promise<ApiError>;
  close(): void;
}

const methods = { ...provisioningServiceDefinition, ...lookupServiceDefinition } as Record<
  string,
  {
    path: string;
    requestSerialize: (value: object) => Buffer;
    responseDeserialize: (bytes: Buffer) => unknown;
  }
>;

export const connectApi = (server: string): Api => {
  const client = new Client(server, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const call: Api['call'] = (name, request, timeout_ms = Number.POSITIVE_INFINITY) =>
    new Promise((resolve, reject) => {
      const method = methods[name] as (typeof methods)[string];
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize as never,
        { ...defaults, ...request },
        { deadline: Date.now() + timeout_ms },
        (error: ServiceError | null, response?: unknown) => {
          if (error === null) resolve(response as never);
          else reject(error);
        },
      );
    });
  return {
    call,
    refused: async (method, request, timeout_ms) => {
      const outcome = await call(method, request, timeout_ms).then(
        (response) => ({ response }),
        (error: ServiceError) => ({ error }),
      );
      if ('response' in outcome) throw new Error(`${method} succeeded: ${JSON.stringify(outcome.response)}`);
      return apiError(outcome.error);
    },
    close: () => client.close(),
  };
};

/** Fields that requests have; the others of a message are left out by its codec. */
const defaults = {
  vpc: '',
  subnet: '',
  name: '',
  host: '',
  ip: '',
  mac: '',
  zone: '',
  requestId: '',
  cidrs: [],
  bouncerHosts: [],
  bouncers: 0,
  dividers: 0,
  timeoutMs: 0,
  pageSize: 0,
  pageToken: '',
  weight: 0,
  ineligible: false,
  cascade: false,
  viaBouncer: false,
  force: false,
  ports: [],
  backends: [],
  affinity: 0,
  affinityTimeoutMs: 0,
  drainMs: 0,
  refusal: 0,
};

export const apiError = (error: ServiceError): ApiError => {
  const bytes = (error.metadata as Metadata | undefined)?.get('megrez-error-bin')[0];
  const { reason, object, hosts } = bytes instanceof Buffer ? ErrorDetail.fromBinary(bytes) : ErrorDetail.create();
  return { code: error.code, reason, object, hosts, message: error.details };
};
