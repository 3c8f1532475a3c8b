/**
 * The one ordered watch: a snapshot, then every change, across whatever happens to streams and to etcd.
 *
 * etcd keeps the events of one revision in one response while `fragment` is off, and sends them in order; the rest is
 * here. Three habits of etcd (all of 3.4.23) shape it:
 * - The revision of a response with events may be newer than its events: only events' own revisions count.
 * - An answer to a progress *request* may overtake events (etcd issue 15220, until 3.4.25 and 3.5.8): it proves that the
 *   stream is alive and nothing else. Progress *notifications*, which etcd sends by itself to an idle watch, go through
 *   the same channel as the events and do raise `revision`.
 * - A watch that starts exactly at a compacted revision misses a deletion of that revision (etcd issue 18089, until
 *   3.4.34 and 3.5.16) without an error. So a stream starts at the last delivered revision, not behind it: then etcd
 *   refuses whenever the next revision has been compacted, and the repeated events are dropped here.
 */
import { pathOf } from './codec';
import type { Connections, Counters, Log } from './connections';
import { StoreError } from './error';
import { Event_EventType } from './gen/etcd/kv';
import type { WatchResponse } from './gen/etcd/rpc';
import { root, storePath } from './keys';
import { readPages } from './pages';
import { createRevisionIndex } from './revision-index';
import type { Identity } from './store-id';
import { stubs } from './stubs';
import type { Watch, WatchBatch, WatchEvent } from './types';
import { type Followed, follow } from './watch-stream';

export interface WatchTuning {
  /** How often a quiet stream is asked for a sign of life. */
  readonly ping_ms: number;
  /** A stream that gives none for so long is given up. */
  readonly silence_ms: number;
  /** Further behind than this, the difference is read instead of the history. */
  readonly lag_max: number;
}

export const defaultTuning: WatchTuning = { ping_ms: 1_000, silence_ms: 3_000, lag_max: 50_000 };

const backoff_ms = (failures: number): number =>
  Math.min(1_000, 25 * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
const silenceFactor_max = 16;

export interface WatchContext {
  readonly connections: Connections;
  readonly counters: Counters;
  readonly log: Log;
  readonly tuning: WatchTuning;
  /** Reads the store's identity and tells the store. */
  readonly identify: () => Promise<Identity>;
  /** Told once when the watch is closed. */
  readonly onClose: (watch: Watch) => void;
}

class OrderedWatch implements Watch {
  readonly #context: WatchContext;
  readonly #onBatch: (batch: WatchBatch) => void;
  readonly #index = createRevisionIndex();
  #storeId: string;
  #revision = 0;
  #alive_ms = performance.now();
  #started = false;
  #closed = false;
  #followed: Followed | undefined;
  #cancelPause: () => void = () => {};
  #turn: number;
  /** A snapshot is at hand and has not been caught up with yet: another one would not be newer by much. */
  #fresh = false;
  #compacted = false;
  #silenceFactor = 1;

  constructor(context: WatchContext, storeId: string, onBatch: (batch: WatchBatch) => void) {
    this.#context = context;
    this.#storeId = storeId;
    this.#onBatch = onBatch;
    this.#turn = context.connections.active;
  }

  get revision(): number {
    return this.#revision;
  }

  get silent_ms(): number {
    return performance.now() - this.#alive_ms;
  }

  async start(): Promise<void> {
    await this.#snapshot({ all: true });
    this.#started = true;
    void this.#run();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.onClose(this);
    this.#followed?.stop();
    this.#cancelPause();
  }

  /** The one loop: identify, snapshot when needed, follow a stream to its end; again. */
  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      const before = this.#revision;
      try {
        const { id, revision } = await this.#context.identify();
        if (this.#closed) return;
        const restored = id !== this.#storeId || revision < this.#revision;
        const lagging = !this.#fresh && revision - this.#revision > this.#context.tuning.lag_max;
        if (restored || lagging || this.#compacted) {
          const reason = restored ? 'another store' : this.#compacted ? 'compacted' : 'lag';
          this.#context.log('watch takes a new snapshot', { reason, delivered: before, newest: revision });
          await this.#snapshot({ all: restored });
          this.#storeId = id;
        }
        if (this.#closed) return;
        await this.#follow(revision);
      } catch (cause) {
        const error = StoreError.from(cause);
        if (error.code === 'CLOSED') return;
        this.#context.log('watch interrupted', { code: error.code, error: error.message, delivered: this.#revision });
      }
      if (this.#closed) return;
      this.#count('watch_restarts');
      failures = this.#revision > before ? 0 : failures + 1;
      await this.#pause(backoff_ms(failures));
    }
  }

  async #follow(newest: number): Promise<void> {
    const { ping_ms, silence_ms } = this.#context.tuning;
    const stream = this.#context.connections.stream(stubs.watch, this.#turn);
    this.#followed = follow({
      stream,
      prefixPath: root,
      startRevision: this.#revision,
      ping_ms,
      silence_ms: silence_ms * this.#silenceFactor,
      onResponse: (response) => {
        const reason = this.#onResponse(response);
        if (this.#revision >= newest) {
          this.#fresh = false;
          // Only here: a response too large for the patience would otherwise be cut off for ever.
          if (!response.created) this.#silenceFactor = 1;
        }
        return reason;
      },
    });
    const end = await this.#followed.ended;
    this.#followed = undefined;
    if (this.#closed) return;
    if (end.kind === 'silent') {
      this.#silenceFactor = Math.min(silenceFactor_max, this.#silenceFactor * 2);
      this.#context.connections.avoid(this.#turn);
    }
    this.#turn++;
    const error = end.kind === 'broken' ? end.error.message : end.kind === 'stopped' ? end.reason : 'silent';
    this.#context.log('watch stream ended', { endpoint: stream.endpoint, error, delivered: this.#revision });
  }

  #onResponse(response: WatchResponse): string | undefined {
    this.#alive();
    if (response.canceled) {
      this.#compacted = response.compactRevision > 0;
      return this.#compacted ? `compacted up to ${response.compactRevision}` : `canceled: ${response.cancelReason}`;
    }
    if (response.fragment) return 'a fragment that was not asked for';
    const reached = response.header?.revision ?? 0;
    // A member that has not caught up, or another store: both are found out before the next stream.
    if (response.created) return reached < this.#revision ? `the member is at revision ${reached} only` : undefined;
    if (response.watchId === -1) {
      const lagging = !this.#fresh && reached - this.#revision > this.#context.tuning.lag_max;
      return lagging ? 'lagging' : undefined;
    }
    if (response.events.length === 0) this.#deliver({ revision: reached, snapshot: false, events: [] });
    else if (this.#deliverEvents(response)) return 'the store id was written';
    return undefined;
  }

  /** True when the store id was among them: it is written again by a restore, and then nothing known here counts. */
  #deliverEvents(response: WatchResponse): boolean {
    const events: WatchEvent[] = [];
    for (const { type, kv } of response.events) {
      if (kv === undefined || kv.modRevision <= this.#revision) continue;
      const value = type === Event_EventType.DELETE ? undefined : kv.value;
      events.push({ path: pathOf(kv.key), revision: kv.modRevision, value });
    }
    const last = events.at(-1);
    if (last === undefined) return false;
    this.#silenceFactor = 1;
    this.#index.apply(events);
    this.#deliver({ revision: last.revision, snapshot: false, events });
    return events.some(({ path }) => path === storePath);
  }

  #deliver(batch: WatchBatch): void {
    if (this.#closed || (batch.revision <= this.#revision && !batch.snapshot)) return;
    this.#revision = batch.revision;
    this.#count('watch_events', batch.events.length);
    this.#count('watch_batches');
    try {
      this.#onBatch(batch);
    } catch (error) {
      // The consumer's state is unknown now, and nothing after this could repair it: no later batch, and a loud end.
      void this.close();
      if (!this.#started) throw error;
      setImmediate(() => {
        throw error;
      });
    }
  }

  async #snapshot({ all }: { readonly all: boolean }): Promise<void> {
    for (;;) {
      const comparison = this.#index.compare({ all });
      let revision = 0;
      try {
        for await (const page of readPages(this.#context.connections, root)) {
          if (this.#closed) return;
          revision = page.revision;
          comparison.add(page.kvs);
        }
      } catch (cause) {
        // Compacted while the pages were read: they are too old to be followed, too.
        if (StoreError.from(cause).code === 'COMPACTED') continue;
        throw cause;
      }
      this.#compacted = false;
      this.#fresh = true;
      this.#count('watch_snapshots');
      this.#alive();
      this.#deliver({ revision, snapshot: true, events: comparison.finish(revision) });
      return;
    }
  }

  #alive(): void {
    this.#alive_ms = performance.now();
  }

  #count(name: string, by = 1): void {
    this.#context.counters[name] = (this.#context.counters[name] ?? 0) + by;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#cancelPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Resolves when the first batch, the whole content, has been delivered. */
export const openWatch = async (
  context: WatchContext,
  storeId: string,
  onBatch: (batch: WatchBatch) => void,
): Promise<Watch> => {
  const watch = new OrderedWatch(context, storeId, onBatch);
  await watch.start();
  return watch;
};
