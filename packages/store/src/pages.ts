/** Ranges of any size, read in pages that are pinned at one revision. */
import { pathBytes, prefixEnd } from './codec';
import type { Connections } from './connections';
import type { KeyValue } from './gen/etcd/kv';
import type { RangeRequest } from './gen/etcd/rpc';
import { stubs } from './stubs';

// A page is a few MB whatever the values' size: small enough for its deadline, large enough to be quick.
const pageBytes = 4 << 20;
const pageKeys_max = 10_000;
const pageKeys_first = 1_000;
const pageDeadline_ms = 30_000;

export interface Page {
  readonly kvs: readonly KeyValue[];
  readonly revision: number;
  /** There are more entries behind this page. */
  readonly more: boolean;
}

export interface PagesOptions {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  readonly revision?: number | undefined;
}

export const rangeRequest = (fields: Partial<RangeRequest>): RangeRequest => ({
  key: new Uint8Array(),
  rangeEnd: new Uint8Array(),
  limit: 0,
  revision: 0,
  serializable: false,
  keysOnly: false,
  countOnly: false,
  ...fields,
});

/** Yields at least one page. The first is linearizable, the others are of its revision; COMPACTED when that went away. */
export async function* readPages(
  connections: Connections,
  prefixPath: string,
  { after, limit = Number.POSITIVE_INFINITY, revision = 0 }: PagesOptions = {},
): AsyncGenerator<Page, void, undefined> {
  const rangeEnd = prefixEnd(prefixPath);
  let key = after === undefined ? pathBytes(prefixPath) : pathBytes(`${after}\0`);
  let pinned = revision;
  let left = limit;
  let keys = pageKeys_first;
  for (;;) {
    const request = rangeRequest({ key, rangeEnd, limit: Math.min(left, keys), revision: pinned });
    const { kvs, header, more } = await connections.unary(stubs.range, request, { deadline_ms: pageDeadline_ms });
    if (pinned === 0) pinned = header?.revision ?? 0;
    left -= kvs.length;
    yield { kvs, revision: pinned, more };
    const last = kvs.at(-1);
    if (!more || left <= 0 || last === undefined) return;
    key = Buffer.concat([last.key, Buffer.alloc(1)]);
    const bytes = kvs.reduce((sum, kv) => sum + kv.key.length + kv.value.length, 0);
    keys = Math.min(pageKeys_max, Math.max(16, Math.round((pageBytes * kvs.length) / bytes)));
  }
}
