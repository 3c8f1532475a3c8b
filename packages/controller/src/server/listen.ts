import type { Server } from '@grpc/grpc-js';
import { serverCredentials } from './credentials';

/** Binds every address and answers them as bound: port 0 has become a port. */
export const listenAll = async (server: Server, addresses: readonly string[]): Promise<string[]> => {
  const bound: string[] = [];
  for (const address of addresses) {
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, serverCredentials(), (error, taken) =>
        error === null ? resolve(taken) : reject(error),
      );
    });
    bound.push(address.startsWith('unix:') ? address : `${address.slice(0, address.lastIndexOf(':'))}:${port}`);
  }
  return bound;
};
