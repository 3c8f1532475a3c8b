import { type Client, type ClientUnaryCall, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { type IRelayServiceClient, relayServiceDefinition } from '@megrez/model';
import type { UnaryCall } from '@protobuf-ts/runtime-rpc';
import { clientCredentials } from '../server/credentials';

type Method = keyof IRelayServiceClient;
type Request<M extends Method> = Parameters<IRelayServiceClient[M]>[0];
type Response<M extends Method> = ReturnType<IRelayServiceClient[M]> extends UnaryCall<Request<M>, infer R> ? R : never;

/** Connections to the other controllers' RelayService, one per address, made when first needed. */
export interface Peers {
  /** @throws ServiceError of grpc-js */
  call<M extends Method>(address: string, method: M, request: Request<M>, timeout_ms: number): Promise<Response<M>>;
  close(): void;
}

const RelayClient = makeGenericClientConstructor(relayServiceDefinition, 'RelayService');

export const openPeers = (): Peers => {
  const clients = new Map<string, Client>();
  const clientOf = (address: string): Client => {
    const known = clients.get(address);
    if (known !== undefined) return known;
    const client = new RelayClient(address, clientCredentials(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_channelz': 0,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
    });
    clients.set(address, client);
    return client;
  };
  return {
    call: (address, method, request, timeout_ms) =>
      new Promise((resolve, reject) => {
        const client = clientOf(address) as unknown as Record<
          string,
          (
            request: unknown,
            options: object,
            done: (error: ServiceError | null, response: never) => void,
          ) => ClientUnaryCall
        >;
        client[method]?.(request, { deadline: Date.now() + timeout_ms }, (error, response) => {
          if (error === null) resolve(response);
          else reject(error);
        });
      }),
    close: () => {
      for (const client of clients.values()) client.close();
      clients.clear();
    },
  };
};
