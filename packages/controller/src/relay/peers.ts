import { type Client, type ClientUnaryCall, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { relayServiceDefinition } from '@megrez/model';
import { clientCredentials } from '../server/credentials';

type Methods = typeof relayServiceDefinition;
type Requests = {
  waitApplied: Parameters<Methods['waitApplied']['requestSerialize']>[0];
  getHostStatus: Parameters<Methods['getHostStatus']['requestSerialize']>[0];
  askMapping: Parameters<Methods['askMapping']['requestSerialize']>[0];
};
type Responses = {
  waitApplied: ReturnType<Methods['waitApplied']['responseDeserialize']>;
  getHostStatus: ReturnType<Methods['getHostStatus']['responseDeserialize']>;
  askMapping: ReturnType<Methods['askMapping']['responseDeserialize']>;
};

/** Connections to the other controllers' RelayService, one per address, made when first needed. */
export interface Peers {
  /** @throws ServiceError of grpc-js */
  call<M extends keyof Requests>(
    address: string,
    method: M,
    request: Requests[M],
    timeout_ms: number,
  ): Promise<Responses[M]>;
  close(): void;
}

const RelayClient = makeGenericClientConstructor(relayServiceDefinition, 'RelayService');

export const openPeers = (): Peers => {
  const clients = new Map<string, Client>();
  const clientOf = (address: string): Client => {
    const known = clients.get(address);
    if (known !== undefined) return known;
    const client = new RelayClient(address, clientCredentials(), { 'grpc.use_local_subchannel_pool': 1 });
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
