/** What the store's specs share. */
import { Client, credentials } from '@grpc/grpc-js';
import { pathBytes, pathOf, prefixEnd } from '../codec';
import { Event_EventType } from '../gen/etcd/kv';
import type { WatchResponse } from '../gen/etcd/rpc';
import { root } from '../keys';
import { stubs } from '../stubs';
import type { Key, Store, Watch, WatchBatch } from '../types';

/** Waits until `condition` holds; the test's own timeout is the limit. */
export const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
};

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** `path revision` and, of a deletion, ` deleted`: one line per event. */
export type Line = string;

/** Everything a watch delivered, checked for what a single batch can tell. */
export interface Recorder {
  readonly batches: WatchBatch[];
  readonly lines: Line[];
  /** Paths and revisions as the events leave them. */
  readonly state: Map<string, number>;
  readonly watch: Watch;
  readonly problems: string[];
}

export const record = async (store: Store): Promise<Recorder> => {
  const batches: WatchBatch[] = [];
  const lines: Line[] = [];
  const state = new Map<string, number>();
  const problems: string[] = [];
  let inside = false;
  let previous = 0;
  const watch = await store.watch((batch) => {
    if (inside) problems.push('entered twice');
    inside = true;
    batches.push(batch);
    if (batch.revision <= previous) problems.push(`batch ${batch.revision} after ${previous}`);
    let last = previous;
    for (const { path, revision, value } of batch.events) {
      if (!batch.snapshot && revision < last) problems.push(`${path} ${revision} after ${last}`);
      if (!batch.snapshot && revision <= previous) problems.push(`${path} ${revision} split or repeated`);
      if (revision > batch.revision) problems.push(`${path} ${revision} ahead of its batch`);
      if (!batch.snapshot) last = revision;
      lines.push(`${path} ${revision}${value === undefined ? ' deleted' : ''}`);
      if (value === undefined) state.delete(path);
      else state.set(path, revision);
    }
    previous = batch.revision;
    inside = false;
  });
  return { batches, lines, state, watch, problems };
};

/** etcd's own history, read from its beginning in one undisturbed stream up to `revision`: the truth to compare with. */
export const historyOf = (endpoint: string, revision: number): Promise<Line[]> =>
  new Promise((resolve, reject) => {
    const client = new Client(new URL(endpoint).host, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
    });
    const { path, encode, decode } = stubs.watch;
    const call = client.makeBidiStreamRequest(path, encode, decode);
    const lines: Line[] = [];
    let last = 0;
    call.on('error', reject);
    call.on('data', (response: WatchResponse) => {
      if (response.canceled) reject(new Error(response.cancelReason));
      for (const { type, kv } of response.events) {
        if (kv === undefined) continue;
        last = kv.modRevision;
        lines.push(`${pathOf(kv.key)} ${last}${type === Event_EventType.DELETE ? ' deleted' : ''}`);
      }
      if (last < revision) return;
      call.removeAllListeners('error');
      call.on('error', () => {});
      call.cancel();
      client.close();
      resolve(lines);
    });
    const createRequest = {
      key: pathBytes(root),
      rangeEnd: prefixEnd(root),
      startRevision: 1,
      progressNotify: false,
      prevKv: false,
      watchId: 0,
      fragment: false,
    };
    call.write({ requestUnion: { oneofKind: 'createRequest', createRequest } });
  });

/** Compacts up to `revision`, with etcd's own call and without the store. */
export const compact = (endpoint: string, revision: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const client = new Client(new URL(endpoint).host, credentials.createInsecure());
    const { path, encode, decode } = stubs.compact;
    client.makeUnaryRequest(path, encode, decode, { revision, physical: true }, (error) => {
      client.close();
      if (error) reject(error);
      else resolve();
    });
  });

/** Puts many values, 128 per txn; answers the last revision. */
export const fill = async <T extends object>(
  store: Store,
  items: readonly { readonly key: Key<T>; readonly value: T }[],
): Promise<number> => {
  let revision = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const chunk = items.slice(next, next + 128);
      next += 128;
      const result = await store.txn(
        [],
        chunk.map(({ key, value }) => ({ kind: 'put', key, value })),
      );
      revision = Math.max(revision, result.revision);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return revision;
};
