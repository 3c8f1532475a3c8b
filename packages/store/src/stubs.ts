/** etcd's methods as grpc-js wants them: path, encoder and decoder, taken from the generated services. */
import type { BinaryReadOptions, MessageType } from '@protobuf-ts/runtime';
import type { ServiceType } from '@protobuf-ts/runtime-rpc';
import type {
  CompactionRequest,
  CompactionResponse,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseRevokeRequest,
  LeaseRevokeResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
  WatchRequest,
  WatchResponse,
} from './gen/etcd/rpc';
import { KV, Lease, Watch } from './gen/etcd/rpc';

export interface Method<I extends object, O extends object> {
  readonly path: string;
  readonly encode: (message: I) => Buffer;
  readonly decode: (bytes: Buffer) => O;
}

// The trimmed messages leave fields out on purpose; keeping the unknown ones would cost an object per response.
const reading: Partial<BinaryReadOptions> = { readUnknownField: false };

const method = <I extends object, O extends object>(service: ServiceType, name: string): Method<I, O> => {
  const info = service.methods.find((candidate) => candidate.name === name);
  if (info === undefined) throw new Error(`${service.typeName} has no ${name}`);
  const request = info.I as MessageType<I>;
  const response = info.O as MessageType<O>;
  return {
    path: `/${service.typeName}/${name}`,
    encode: (message) => {
      const bytes = request.toBinary(message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    decode: (bytes) => response.fromBinary(bytes, reading),
  };
};

export const stubs = {
  range: method<RangeRequest, RangeResponse>(KV, 'Range'),
  txn: method<TxnRequest, TxnResponse>(KV, 'Txn'),
  compact: method<CompactionRequest, CompactionResponse>(KV, 'Compact'),
  watch: method<WatchRequest, WatchResponse>(Watch, 'Watch'),
  grant: method<LeaseGrantRequest, LeaseGrantResponse>(Lease, 'LeaseGrant'),
  revoke: method<LeaseRevokeRequest, LeaseRevokeResponse>(Lease, 'LeaseRevoke'),
  keepAlive: method<LeaseKeepAliveRequest, LeaseKeepAliveResponse>(Lease, 'LeaseKeepAlive'),
} as const;
