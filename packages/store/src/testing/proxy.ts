/** A TCP proxy that breaks what passes: cuts after N bytes, delays, limits the rate, or swallows silently. */
import { createServer, connect as dial, type Socket } from 'node:net';

const sleep = (ms: number): Promise<void> =>
  ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();

export interface FaultyProxy {
  /** `http://127.0.0.1:port`. */
  readonly endpoint: string;
  /** Resets every connection now; new ones pass. */
  cut(): void;
  /** Resets each connection opened from now on after so many bytes of answers; undefined: no longer. */
  cutAfter(bytes: number | undefined): void;
  /** Holds every chunk of answers back for so long. */
  delay(ms: number): void;
  /** Nothing passes in either direction, connections stay open: a black hole. */
  freeze(frozen: boolean): void;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  close(): Promise<void>;
}

export const startProxy = async (upstream: string, port = 0): Promise<FaultyProxy> => {
  const target = new URL(upstream);
  const pairs = new Set<readonly [Socket, Socket]>();
  let accepted = 0;
  let cutAfter_bytes: number | undefined;
  let delay_ms = 0;
  let frozen = false;

  const server = createServer((near) => {
    accepted++;
    const far = dial(Number(target.port), target.hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    let left = cutAfter_bytes;
    const end = (): void => {
      pairs.delete(pair);
      near.resetAndDestroy();
      far.resetAndDestroy();
    };
    const answer = (chunk: Buffer): void => {
      if (near.destroyed) return;
      if (left !== undefined && chunk.length >= left) {
        near.write(chunk.subarray(0, left), end);
        left = 0;
        return;
      }
      if (left !== undefined) left -= chunk.length;
      if (!near.write(chunk)) {
        far.pause();
        near.once('drain', () => far.resume());
      }
    };
    // In order, also when the delay changes while chunks wait.
    let before = Promise.resolve();
    far.on('data', (chunk: Buffer) => {
      const due = sleep(delay_ms);
      before = before.then(() => due).then(() => answer(chunk));
    });
    near.on('data', (chunk: Buffer) => {
      if (!far.write(chunk)) {
        near.pause();
        far.once('drain', () => near.resume());
      }
    });
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', end);
      if (frozen) socket.pause();
    }
  });
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve));
  const address = server.address();
  const cut = (): void => {
    for (const [near, far] of [...pairs]) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  };
  return {
    endpoint: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    cut,
    cutAfter: (bytes) => {
      cutAfter_bytes = bytes;
    },
    delay: (ms) => {
      delay_ms = ms;
    },
    freeze: (on) => {
      frozen = on;
      for (const socket of [...pairs].flat()) {
        if (on) socket.pause();
        else socket.resume();
      }
    },
    get accepted() {
      return accepted;
    },
    get open() {
      return pairs.size;
    },
    close: async () => {
      server.close();
      cut();
    },
  };
};
