import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import { serverCredentials } from './credentials';

/** Binds every address and answers them as bound: port 0 has become a port. */
export const listenAll = async (server: Server, addresses: readonly string[]): Promise<string[]> => {
  const bound: string[] = [];
  for (const address of addresses) {
    if (address.startsWith('unix:')) await removeAbandoned(address.slice('unix:'.length));
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, serverCredentials(), (error, taken) =>
        error === null ? resolve(taken) : reject(error),
      );
    });
    bound.push(address.startsWith('unix:') ? address : `${address.slice(0, address.lastIndexOf(':'))}:${port}`);
  }
  return bound;
};

/** A killed controller leaves its socket, which nobody could bind again; one that somebody listens on stays. */
const removeAbandoned = async (path: string): Promise<void> => {
  const refused = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once('connect', () => done(false))
      .once('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED'));
  });
  if (refused) rmSync(path, { force: true });
};
