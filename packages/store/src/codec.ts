/** Paths and entries to and from etcd's bytes. */
import type { KeyValue } from './gen/etcd/kv';
import type { Entry, Key } from './types';

export const pathBytes = (path: string): Uint8Array => Buffer.from(path);

export const pathOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();

/** First path behind everything below a prefix, which ends in `/`. */
export const prefixEnd = (path: string): Uint8Array => {
  const end = Buffer.from(path);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  return end;
};

export const entryOf = <T extends object>(type: Key<T>['type'], kv: KeyValue): Entry<T> => ({
  path: pathOf(kv.key),
  value: type.fromBinary(kv.value),
  revision: kv.modRevision,
  created_revision: kv.createRevision,
  version: kv.version,
});
