import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { MegrezError } from '@megrez/model';

/** When to give up, and whether the user already did. */
export interface Patience {
  readonly deadline: number;
  readonly signal: AbortSignal;
}

export const patience = (timeout_ms: number, signal: AbortSignal): Patience => ({
  deadline: performance.now() + timeout_ms,
  signal,
});

/** Asks `isReady` until it says yes; what it throws ends the wait. */
export async function until(
  what: string,
  { deadline, signal }: Patience,
  isReady: () => Promise<boolean> | boolean,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (await isReady()) {
      return;
    }
    if (performance.now() > deadline) {
      throw new MegrezError({
        code: 'DEADLINE_EXCEEDED',
        reason: 'NOT_READY',
        object: what,
        message: `${what} did not become ready in time`,
      });
    }
    await sleep(20);
  }
}

/** A TCP port of loopback that was free a moment ago; `preferred` if it is. */
export async function freePort(preferred = 0): Promise<number> {
  const server = createServer();
  try {
    return await new Promise((resolve, reject) => {
      server.on('error', reject);
      server.listen({ port: preferred, host: '127.0.0.1' }, () => {
        const address = server.address();
        resolve(address !== null && typeof address === 'object' ? address.port : 0);
      });
    });
  } catch (error) {
    if (preferred !== 0 && (error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      return freePort();
    }
    throw error;
  } finally {
    server.close();
  }
}

/** Does somebody listen on this unix socket? */
export function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** etcd serves and has a leader. */
export function isHealthy(etcd: string): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = request(`${etcd}/health`, { timeout: 1000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    answer.on('timeout', () => answer.destroy());
    answer.on('error', () => resolve(false));
    answer.end();
  });
}
