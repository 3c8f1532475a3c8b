/** One watch stream from its opening to its end; what it says is interpreted in `watch.ts`. */
import { pathBytes, prefixEnd } from './codec';
import type { OwnStream } from './connections';
import { StoreError } from './error';
import type { WatchRequest, WatchResponse } from './gen/etcd/rpc';

export type StreamEnd =
  | { readonly kind: 'broken'; readonly error: StoreError }
  /** Nothing came for `silence_ms` although answers were asked for. */
  | { readonly kind: 'silent' }
  /** Ended by `onResponse` or by `stop`. */
  | { readonly kind: 'stopped'; readonly reason: string };

export interface FollowOptions {
  readonly stream: OwnStream<WatchRequest, WatchResponse>;
  readonly prefixPath: string;
  /** Inclusive. */
  readonly startRevision: number;
  readonly ping_ms: number;
  readonly silence_ms: number;
  /** Called in order, never after the stream's end; a returned reason ends the stream. */
  readonly onResponse: (response: WatchResponse) => string | undefined;
}

export interface Followed {
  readonly ended: Promise<StreamEnd>;
  stop(): void;
}

export const follow = (options: FollowOptions): Followed => {
  const { stream, ping_ms, silence_ms, onResponse } = options;
  const { call } = stream;
  let silentTicks = 0;
  let over = false;
  let resolve: (end: StreamEnd) => void;
  const ended = new Promise<StreamEnd>((done) => {
    resolve = done;
  });
  const end = (how: StreamEnd): void => {
    if (over) return;
    over = true;
    clearInterval(timer);
    stream.drop();
    resolve(how);
  };
  // Silence is counted in ticks, not by the clock: a tick after our own pause must not count what waits unread as silence.
  const timer = setInterval(() => {
    if (silentTicks > 0 && silentTicks * ping_ms >= silence_ms) return end({ kind: 'silent' });
    if (silentTicks > 0) call.write({ requestUnion: { oneofKind: 'progressRequest', progressRequest: {} } });
    silentTicks++;
  }, ping_ms);
  call.on('data', (response: WatchResponse) => {
    if (over) return;
    silentTicks = 0;
    const reason = onResponse(response);
    if (reason !== undefined) end({ kind: 'stopped', reason });
  });
  call.on('error', (cause: unknown) => end({ kind: 'broken', error: StoreError.from(cause) }));
  call.on('end', () => end({ kind: 'broken', error: new StoreError('UNAVAILABLE', 'etcd ended the watch stream') }));
  call.write({
    requestUnion: {
      oneofKind: 'createRequest',
      createRequest: {
        key: pathBytes(options.prefixPath),
        rangeEnd: prefixEnd(options.prefixPath),
        startRevision: options.startRevision,
        progressNotify: true,
        prevKv: false,
        watchId: 0,
        fragment: false,
      },
    },
  });
  return { ended, stop: () => end({ kind: 'stopped', reason: 'closed' }) };
};
