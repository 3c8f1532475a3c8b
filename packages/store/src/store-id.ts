/** The store's identity: revisions of two stores must never be compared. */
import { randomUUID } from 'node:crypto';
import { pathBytes, pathOf } from './codec';
import type { Connections } from './connections';
import { StoreError } from './error';
import { Compare_CompareResult, Compare_CompareTarget } from './gen/etcd/rpc';
import { storePath } from './keys';
import { rangeRequest } from './pages';
import { stubs } from './stubs';

export interface Identity {
  readonly id: string;
  /** The store's newest revision, read linearizably. */
  readonly revision: number;
}

/** Reads the store id, writing one first when the store has none. */
export const identify = async (connections: Connections): Promise<Identity> => {
  const key = pathBytes(storePath);
  for (;;) {
    const { kvs, header } = await connections.unary(stubs.range, rangeRequest({ key }));
    if (kvs[0] !== undefined) return { id: pathOf(kvs[0].value), revision: header?.revision ?? 0 };
    const put = { key, value: pathBytes(randomUUID()), lease: '0' };
    const absent = {
      result: Compare_CompareResult.EQUAL,
      target: Compare_CompareTarget.VERSION,
      key,
      rangeEnd: new Uint8Array(),
      targetUnion: { oneofKind: 'version', version: 0 },
    } as const;
    const success = [{ request: { oneofKind: 'requestPut', requestPut: put } as const }];
    try {
      await connections.unary(stubs.txn, { compare: [absent], success, failure: [] }, { write: true });
    } catch (error) {
      // Whoever won, and whether or not this write happened: the next read tells.
      if (!StoreError.from(error).ambiguous) throw error;
    }
  }
};
