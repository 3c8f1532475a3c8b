import { connect } from 'node:net';
import { validateServer } from './server';

/** How long one controller may take to accept a connection. */
const patience_ms = 1_000;

/**
 * The first of several controllers that accepts a connection; the first of all when none does, so that the call itself
 * fails with the reason. A single address is not tried.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_SERVER
 */
export const firstReachable = async (addresses: readonly [string, ...string[]]): Promise<string> => {
  const [first, ...others] = addresses.map(validateServer) as [string, ...string[]];
  if (others.length === 0) return first;
  for (const address of [first, ...others]) if (await accepts(address)) return address;
  return first;
};

const accepts = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const colon = address.lastIndexOf(':');
    const socket = address.startsWith('unix:')
      ? connect({ path: address.slice('unix:'.length) })
      : connect({ host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .setTimeout(patience_ms, () => done(false))
      .once('connect', () => done(true))
      .once('error', () => done(false));
  });
