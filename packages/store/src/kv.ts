/** Reads. All are linearizable unless they name a revision. */
import { entryOf, pathBytes, prefixEnd } from './codec';
import type { Connections } from './connections';
import { StoreError } from './error';
import type { RequestOp } from './gen/etcd/rpc';
import { rangeRequest, readPages } from './pages';
import { stubs } from './stubs';
import type { Entry, Key, Prefix, RangeOptions, RangeResult } from './types';

/** etcd's limit (`--max-txn-ops`). */
export const txnOperations_max = 128;

const rangeAttempts = 3;

export const getOperation = (path: string): RequestOp => ({
  request: { oneofKind: 'requestRange', requestRange: rangeRequest({ key: pathBytes(path) }) },
});

export const get = async <T extends object>(connections: Connections, key: Key<T>): Promise<Entry<T> | undefined> => {
  const { kvs } = await connections.unary(stubs.range, rangeRequest({ key: pathBytes(key.path) }));
  return kvs[0] === undefined ? undefined : entryOf(key.type, kvs[0]);
};

export const getMany = async <T extends object>(
  connections: Connections,
  keys: readonly Key<T>[],
): Promise<readonly (Entry<T> | undefined)[]> => {
  const found: (Entry<T> | undefined)[] = [];
  for (let start = 0; start < keys.length; start += txnOperations_max) {
    const chunk = keys.slice(start, start + txnOperations_max);
    const success = chunk.map(({ path }) => getOperation(path));
    const { responses } = await connections.unary(stubs.txn, { compare: [], success, failure: [] });
    chunk.forEach(({ type }, i) => {
      const response = responses[i]?.response;
      const kv = response?.oneofKind === 'responseRange' ? response.responseRange.kvs[0] : undefined;
      found.push(kv === undefined ? undefined : entryOf(type, kv));
    });
  }
  return found;
};

export const range = async <T extends object>(
  connections: Connections,
  { path, type }: Prefix<T>,
  options: RangeOptions = {},
): Promise<RangeResult<T>> => {
  for (let attempt = 1; ; attempt++) {
    const entries: Entry<T>[] = [];
    let revision = 0;
    let more = false;
    try {
      for await (const page of readPages(connections, path, options)) {
        for (const kv of page.kvs) entries.push(entryOf(type, kv));
        ({ revision, more } = page);
      }
      return { entries, revision, more };
    } catch (cause) {
      const error = StoreError.from(cause);
      // Compacted between two pages: when the caller asked for no revision in particular, a newer one will do.
      if (error.code !== 'COMPACTED' || options.revision !== undefined || attempt === rangeAttempts) throw error;
    }
  }
};

export const count = async <T extends object>(connections: Connections, { path }: Prefix<T>): Promise<number> => {
  const request = rangeRequest({ key: pathBytes(path), rangeEnd: prefixEnd(path), countOnly: true });
  return (await connections.unary(stubs.range, request)).count;
};
