import { type MapName, maps } from '@megrez/abi';
import type { BpfMap } from '@megrez/kernel';
import type { Row, RowKey } from '@megrez/plan';

/** The kernel's maps as the loop writes them: compare first, write what differs. */
export interface Rows {
  /** Makes the entry equal to the row. */
  put(row: Row): void;
  /** The same for many rows of one map, off the event loop where it pays. */
  putMany(map: MapName, rows: readonly Row[]): Promise<void>;
  /** `generation`: of the deletion; a newer entry stays. */
  remove(key: RowKey, generation?: number): void;
  lookup(key: RowKey): Buffer | undefined;
  /** Removes the entries of a map whose keys are not kept. Resolves to how many. */
  prune(map: MapName, keep: (key: Buffer, value: Buffer) => boolean): Promise<number>;
  /** The whole map. */
  entries(map: MapName): Promise<readonly { readonly key: Buffer; readonly value: Buffer }[]>;
  /** Entries of a map that only the agent adds to. */
  count(map: MapName): number;
  /** Counted from the map itself. */
  recount(map: MapName): Promise<number>;
  /** Whether a lower generation may replace a higher one: after the store was restored from a backup. */
  forced: boolean;
  readonly written: (map: MapName, operation: 'put' | 'delete') => number;
}

/** Maps whose entries say of which generation they are, and where. */
const generations: { readonly [M in MapName]?: (value: Buffer) => number } = {
  mappings: (value) => maps.mappings.value.decode(value).generation,
  endpoints: (value) => maps.endpoints.value.decode(value).generation,
  // A prefix may have gone from one subnet to the next.
  routes: (value) => maps.routes.value.decode(value).generation,
  // An address may have gone from one service to the next.
  services: (value) => maps.services.value.decode(value).generation,
  service_ports: (value) => maps.service_ports.value.decode(value).generation,
  backends: (value) => maps.backends.value.decode(value).generation,
};

/** Below this a batch's way to a worker thread costs more than it saves. */
const batch_min = 64;

export const openRows = (map: (name: MapName) => BpfMap): Rows => {
  const counts = new Map<MapName, number>();
  const writes = new Map<string, number>();
  const add = (name: MapName, change: number): void => {
    counts.set(name, (counts.get(name) ?? 0) + change);
  };
  const wrote = (name: MapName, operation: 'put' | 'delete', count = 1): void => {
    const id = `${name}/${operation}`;
    writes.set(id, (writes.get(id) ?? 0) + count);
  };

  /** What to write for the row, whose entry is `current`; undefined when that is right, or newer. */
  const difference = (row: Row, current: Buffer | undefined): Buffer | undefined => {
    // A per-CPU map takes every CPU's value; ours begin as zero.
    if (current === undefined) return row.kept ? Buffer.alloc(map(row.map).valueSize) : row.value;
    if (row.kept || current.equals(row.value)) return undefined;
    const generation = generations[row.map];
    if (!rows.forced && generation !== undefined && generation(current) > generation(row.value)) return undefined;
    return row.value;
  };

  const rows: Rows = {
    forced: false,
    put: (row) => {
      const current = map(row.map).lookup(row.key);
      const value = difference(row, current);
      if (value === undefined) return;
      map(row.map).update(row.key, value);
      wrote(row.map, 'put');
      if (current === undefined) add(row.map, 1);
    },
    putMany: async (name, many) => {
      if (many.length < batch_min) return many.forEach(rows.put);
      const target = map(name);
      const { found, values: current } = await target.lookupBatch(Buffer.concat(many.map(({ key }) => key)));
      const keys: Buffer[] = [];
      const values: Buffer[] = [];
      let fresh = 0;
      for (const [i, row] of many.entries()) {
        const there = found[i] === 1;
        const at = i * target.valueSize;
        const value = difference(row, there ? current.subarray(at, at + target.valueSize) : undefined);
        if (value === undefined) continue;
        keys.push(row.key);
        values.push(value);
        if (!there) fresh += 1;
      }
      if (keys.length === 0) return;
      await target.updateBatch(Buffer.concat(keys), Buffer.concat(values));
      wrote(name, 'put', keys.length);
      add(name, fresh);
    },
    remove: ({ map: name, key }, generation) => {
      const read = generations[name];
      if (generation !== undefined && read !== undefined && !rows.forced) {
        const current = map(name).lookup(key);
        if (current === undefined || read(current) > generation) return;
      }
      if (!map(name).delete(key)) return;
      wrote(name, 'delete');
      add(name, -1);
    },
    lookup: ({ map: name, key }) => map(name).lookup(key),
    entries: async (name) => {
      const { keySize, valueSize } = map(name);
      const { keys, values, count } = await map(name).entries();
      return Array.from({ length: count }, (_, i) => ({
        key: keys.subarray(i * keySize, (i + 1) * keySize),
        value: values.subarray(i * valueSize, (i + 1) * valueSize),
      }));
    },
    prune: async (name, keep) => {
      const target = map(name);
      const { keys, values, count } = await target.entries();
      let pruned = 0;
      for (let i = 0; i < count; i++) {
        const key = keys.subarray(i * target.keySize, (i + 1) * target.keySize);
        if (keep(key, values.subarray(i * target.valueSize, (i + 1) * target.valueSize))) continue;
        if (target.delete(key)) pruned += 1;
      }
      if (pruned > 0) wrote(name, 'delete', pruned);
      counts.set(name, count - pruned);
      return pruned;
    },
    count: (name) => counts.get(name) ?? 0,
    recount: async (name) => {
      const count = await map(name).count();
      counts.set(name, count);
      return count;
    },
    written: (name, operation) => writes.get(`${name}/${operation}`) ?? 0,
  };
  return rows;
};
