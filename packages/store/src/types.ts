import type { MessageType } from '@protobuf-ts/runtime';

/** A key of the store's layout and the message its value is; made only by `keys`. */
export interface Key<T extends object> {
  readonly path: string;
  readonly type: MessageType<T>;
}

/** All keys below a path (which ends in `/`), their values being one kind of message; made only by `prefixes`. */
export interface Prefix<T extends object> {
  readonly path: string;
  readonly type: MessageType<T>;
}

/** A stored object. Revisions are etcd's, safe integers. */
export interface Entry<T extends object> {
  readonly path: string;
  readonly value: T;
  /** mod_revision: the revision of the last write. */
  readonly revision: number;
  readonly created_revision: number;
  readonly version: number;
}

/** A condition on one key. */
export type KeyCompare =
  | { readonly kind: 'absent'; readonly key: Key<any> }
  | { readonly kind: 'revision'; readonly key: Key<any>; readonly revision: number }
  | { readonly kind: 'created'; readonly key: Key<any>; readonly revision: number };

export type Compare = KeyCompare | { readonly kind: 'empty'; readonly prefix: Prefix<any> };

export type Operation =
  | { readonly kind: 'put'; readonly key: Key<any>; readonly value: object; readonly lease?: Lease }
  | { readonly kind: 'remove'; readonly key: Key<any> };

export type TxnResult =
  | { readonly succeeded: true; readonly revision: number }
  /** `failed` holds the compares that were not true, in their order, each with what the key holds now. */
  | {
      readonly succeeded: false;
      readonly revision: number;
      readonly failed: readonly { readonly compare: Compare; readonly current: Entry<any> | undefined }[];
    };

export interface RangeOptions {
  /** Start behind this path (of the previous page's last entry). */
  readonly after?: string;
  /** At most this many entries; all when absent (read in pages inside). */
  readonly limit?: number;
  /** Read the store as it was at this revision. */
  readonly revision?: number;
}

export interface RangeResult<T extends object> {
  readonly entries: readonly Entry<T>[];
  /** Revision at which the range was read. */
  readonly revision: number;
  readonly more: boolean;
}

/** A lease whose `deadline` counts from the moment its last renewal was *sent* and is shorter than the TTL. */
export interface Lease {
  readonly id: string;
  /** performance.now() in ms until which the holder may believe that its keys exist. */
  readonly deadline_ms: number;
  readonly lost: Promise<void>;
  revoke(): Promise<void>;
}

/** One change; `path` alone tells what it is about (see parseKey), a deletion carries no value. */
export interface WatchEvent {
  readonly path: string;
  /** mod_revision of the write, or the revision of the deletion. */
  readonly revision: number;
  /** Encoded message; undefined for a deletion. */
  readonly value: Uint8Array | undefined;
}

/** All changes of one or several whole revisions, in order. A revision is never split between batches. */
export interface WatchBatch {
  /** Everything up to this revision has been delivered with this batch. */
  readonly revision: number;
  /** First batch: the whole content. Later `snapshot` batches (after a compaction) hold only what differs. */
  readonly snapshot: boolean;
  readonly events: readonly WatchEvent[];
}

export interface Watch {
  /** Revision delivered so far. */
  readonly revision: number;
  /** Milliseconds since the stream last proved that it is alive. */
  readonly silent_ms: number;
  close(): Promise<void>;
}

/** The only door to etcd. Errors are StoreError. */
export interface Store {
  /** Random, written once; a restore from a backup rewrites it. */
  readonly storeId: string;
  get<T extends object>(key: Key<T>): Promise<Entry<T> | undefined>;
  /** In the order of the keys, read at one revision per 128 keys. */
  getMany<T extends object>(keys: readonly Key<T>[]): Promise<readonly (Entry<T> | undefined)[]>;
  range<T extends object>(prefix: Prefix<T>, options?: RangeOptions): Promise<RangeResult<T>>;
  count(prefix: Prefix<any>): Promise<number>;
  /** At most 128 operations; one revision. */
  txn(compares: readonly Compare[], operations: readonly Operation[]): Promise<TxnResult>;
  lease(ttl_ms: number): Promise<Lease>;
  /** One ordered watch on the whole layout; `onBatch` is called in order and never concurrently. */
  watch(onBatch: (batch: WatchBatch) => void): Promise<Watch>;
  /** Counters for metrics: requests by kind, watch restarts, snapshots. */
  readonly counters: Readonly<Record<string, number>>;
  close(): Promise<void>;
}
