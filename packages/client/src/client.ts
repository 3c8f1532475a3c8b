import { credentials } from '@grpc/grpc-js';
import {
  type ILookupServiceClient,
  type INodeServiceClient,
  type IProvisioningServiceClient,
  type IRelayServiceClient,
  type IShardServiceClient,
  LookupServiceClient,
  NodeServiceClient,
  ProvisioningServiceClient,
  RelayServiceClient,
  ShardServiceClient,
} from '@megrez/model';
import { GrpcTransport } from '@protobuf-ts/grpc-transport';
import { toMegrezError } from './error';
import { validateServer } from './server';
import { translating } from './translate';

/** The services of one controller, over one connection. Every call and stream fails with a MegrezError only. */
export interface Client {
  readonly server: string;
  readonly provisioning: IProvisioningServiceClient;
  readonly lookup: ILookupServiceClient;
  readonly shard: IShardServiceClient;
  readonly node: INodeServiceClient;
  readonly relay: IRelayServiceClient;
  /** Ends the connection; calls under way fail with UNAVAILABLE or ABORTED. */
  close(): void;
}

export interface ConnectOptions {
  /** How long a unary call may take; none when absent. Streams have no deadline. */
  readonly deadline_ms?: number;
}

/**
 * A client for the controller at `host:port` or `unix:/path`. It connects with the first call, and again when the
 * connection broke.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_SERVER
 */
export const connect = (address: string, { deadline_ms }: ConnectOptions = {}): Client => {
  const server = validateServer(address);
  const transport = new GrpcTransport({
    host: server,
    channelCredentials: credentials.createInsecure(),
    clientOptions: {
      // The control plane is reached directly, whatever http_proxy says.
      'grpc.enable_http_proxy': 0,
      'grpc.max_receive_message_length': -1,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      // Two clients of one process must not share a connection: close() of one would not end it.
      'grpc.use_local_subchannel_pool': 1,
    },
    interceptors: [translating((error) => toMegrezError(error, server), deadline_ms)],
  });
  return {
    server,
    provisioning: new ProvisioningServiceClient(transport),
    lookup: new LookupServiceClient(transport),
    shard: new ShardServiceClient(transport),
    node: new NodeServiceClient(transport),
    relay: new RelayServiceClient(transport),
    close: () => transport.close(),
  };
};
