import { type Handle, type NativeMap, native } from './native';

export interface MapEntries {
  /** `count` keys of `keySize` bytes, one after the other. */
  readonly keys: Buffer;
  /** `count` values of `valueSize` bytes, in the order of the keys. */
  readonly values: Buffer;
  readonly count: number;
}

/** Flags of an update, as in linux/bpf.h. */
export const UPDATE_ANY = 0;
export const UPDATE_NOEXIST = 1;
export const UPDATE_EXIST = 2;

/**
 * A BPF map. Buffers must have exactly the map's sizes (RangeError `ERR_BUFFER_LENGTH` otherwise). For per-CPU maps
 * `valueSize` is the value's size rounded up to 8, times the possible CPUs. Use after close: KernelError `EBADF`.
 */
export class BpfMap {
  readonly name: string;
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly id: number;
  /** For this package only. */
  readonly handle: Handle;

  constructor(facts: NativeMap) {
    this.name = facts.name;
    this.type = facts.type;
    this.keySize = facts.keySize;
    this.valueSize = facts.valueSize;
    this.maxEntries = facts.maxEntries;
    this.id = facts.id;
    this.handle = facts.handle;
  }

  /** The value, or undefined when the key is absent. One system call on this thread, as update and delete are. */
  lookup(key: Uint8Array): Buffer | undefined {
    return native.mapLookup(this.handle, key);
  }

  /** Errors: EEXIST and ENOENT by the flags, E2BIG or ENOSPC when the map is full. */
  update(key: Uint8Array, value: Uint8Array, flags: number = UPDATE_ANY): void {
    native.mapUpdate(this.handle, key, value, flags);
  }

  /** Whether the key was there. */
  delete(key: Uint8Array): boolean {
    return native.mapDelete(this.handle, key);
  }

  /**
   * Reads many entries off the event loop. `keys` are one after the other and must not change until the promise settles.
   * `found` has a byte for each, 1 where the key is there, `values` the values one after the other, zero where it is not.
   */
  async lookupBatch(keys: Uint8Array): Promise<{ readonly found: Buffer; readonly values: Buffer }> {
    return native.mapLookupBatch({ handle: this.handle, keys });
  }

  /**
   * Writes many entries off the event loop. `keys` and `values` are the entries one after the other and must not
   * change until the promise settles. An error names the first entry that failed; those before it are written.
   */
  async updateBatch(keys: Uint8Array, values: Uint8Array, flags: number = UPDATE_ANY): Promise<void> {
    await native.mapUpdateBatch({ handle: this.handle, keys, values, flags });
  }

  /** Deletes many keys; absent ones are no error. Resolves to how many were there. */
  async deleteBatch(keys: Uint8Array): Promise<number> {
    return native.mapDeleteBatch({ handle: this.handle, keys });
  }

  /**
   * The whole map. An entry that exists from the beginning to the end of the call is in the result; of entries that
   * come or go meanwhile nothing is promised, and in tries and arrays one may be there twice. Arrays give every index.
   * `batch` is the entries per system call (default 4,096).
   */
  async entries(options: { readonly batch?: number } = {}): Promise<MapEntries> {
    const { count, keys, values } = await native.mapEntries({ handle: this.handle, batch: options.batch });
    return { count, keys: keys ?? Buffer.alloc(0), values: values ?? Buffer.alloc(0) };
  }

  /** How many entries there are, by walking the map; the promises of `entries`. */
  async count(): Promise<number> {
    return (await native.mapEntries({ handle: this.handle, countOnly: true })).count;
  }

  /** Pins the map on a bpffs. Errors: EEXIST. */
  pin(path: string): void {
    native.mapPin({ handle: this.handle, path });
  }

  /** Calls that run already finish. Closing twice is no error. */
  close(): void {
    native.close(this.handle);
  }
}

/** Opens the map pinned at `path`. Errors: ENOENT, EINVAL when something else is pinned there. */
export const openPinnedMap = (path: string): BpfMap => new BpfMap(native.openPinnedMap({ path }));

/** Makes a map without an object; `type` as bpftool prints it (`hash`, `lru_hash`, `percpu_hash`, `lpm_trie` …). */
export const createMap = (options: {
  readonly type: string;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
}): BpfMap => new BpfMap(native.createMap(options));

export interface RingBuffer {
  /** No callback follows. Closing twice is no error. */
  close(): void;
}

/**
 * Calls `onData` on the event loop for every record of a ring buffer map. A slow callback holds up the reading, so
 * the ring fills and the programs see their reservations fail; nothing is dropped in between. Keeps the process
 * alive until it is closed.
 */
export const openRingBuffer = (map: BpfMap, onData: (data: Buffer) => void): RingBuffer => {
  const watch = native.openRingBuffer({ handle: map.handle, onData });
  return { close: () => native.closeWatch(watch) };
};
