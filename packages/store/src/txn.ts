/** Conditional writes. */
import { entryOf, pathBytes, prefixEnd } from './codec';
import type { Connections } from './connections';
import { StoreError } from './error';
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  type Compare as EtcdCompare,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
  TxnRequest as TxnRequestType,
} from './gen/etcd/rpc';
import { getOperation, txnOperations_max } from './kv';
import { rangeRequest } from './pages';
import { stubs } from './stubs';
import type { Compare, Entry, Operation, TxnResult } from './types';

/** etcd's limit on a request (`--max-request-bytes`). */
export const requestBytes_max = 1.5 * 1024 * 1024;

const none = new Uint8Array();
const { EQUAL } = Compare_CompareResult;
const { VERSION, CREATE, MOD } = Compare_CompareTarget;

const compareOf = (compare: Compare): EtcdCompare => {
  const path = compare.kind === 'empty' ? compare.prefix.path : compare.key.path;
  const base = { result: EQUAL, key: pathBytes(path), rangeEnd: none };
  switch (compare.kind) {
    case 'absent':
      return { ...base, target: VERSION, targetUnion: { oneofKind: 'version', version: 0 } };
    case 'empty':
      // An empty range compares like a key of version 0; every key that exists has a version of at least 1.
      return {
        ...base,
        rangeEnd: prefixEnd(path),
        target: VERSION,
        targetUnion: { oneofKind: 'version', version: 0 },
      };
    case 'created':
      return {
        ...base,
        target: CREATE,
        targetUnion: { oneofKind: 'createRevision', createRevision: compare.revision },
      };
    case 'revision':
      return { ...base, target: MOD, targetUnion: { oneofKind: 'modRevision', modRevision: compare.revision } };
  }
};

const currentOf = (compare: Compare): RequestOp => {
  if (compare.kind !== 'empty') return getOperation(compare.key.path);
  const { path } = compare.prefix;
  const request = rangeRequest({ key: pathBytes(path), rangeEnd: prefixEnd(path), limit: 1 });
  return { request: { oneofKind: 'requestRange', requestRange: request } };
};

/** A value that is written under several keys is encoded once. */
const encoder = () => {
  const known = new Map<object, { readonly type: object; readonly bytes: Uint8Array }>();
  return ({ key: { type }, value }: Extract<Operation, { kind: 'put' }>): Uint8Array => {
    const before = known.get(value);
    if (before?.type === type) return before.bytes;
    const bytes = type.toBinary(value);
    known.set(value, { type, bytes });
    return bytes;
  };
};

const operationOf = (operation: Operation, encode: ReturnType<typeof encoder>): RequestOp => {
  const key = pathBytes(operation.key.path);
  if (operation.kind === 'remove') {
    return { request: { oneofKind: 'requestDeleteRange', requestDeleteRange: { key, rangeEnd: none } } };
  }
  const value = encode(operation);
  return { request: { oneofKind: 'requestPut', requestPut: { key, value, lease: operation.lease?.id ?? '0' } } };
};

const holds = (compare: Compare, current: Entry<object> | undefined): boolean => {
  switch (compare.kind) {
    case 'absent':
    case 'empty':
      return current === undefined;
    case 'created':
      return (current?.created_revision ?? 0) === compare.revision;
    case 'revision':
      return (current?.revision ?? 0) === compare.revision;
  }
};

const failedOf = (compares: readonly Compare[], responses: readonly ResponseOp[]) =>
  compares.flatMap((compare, i) => {
    const response = responses[i]?.response;
    const kv = response?.oneofKind === 'responseRange' ? response.responseRange.kvs[0] : undefined;
    const { type } = compare.kind === 'empty' ? compare.prefix : compare.key;
    const current = kv === undefined ? undefined : entryOf(type, kv);
    return holds(compare, current) ? [] : [{ compare, current }];
  });

const check = (request: TxnRequest): void => {
  const operations = Math.max(request.compare.length, request.success.length);
  if (operations > txnOperations_max) {
    throw new StoreError('INVALID', `a txn of ${operations} compares or operations; etcd takes ${txnOperations_max}`);
  }
  // Values make the size; the encoder is asked only when they come near the limit.
  const bytes = request.success.reduce(
    (sum, { request: op }) => sum + (op.oneofKind === 'requestPut' ? op.requestPut.value.length : 0),
    0,
  );
  if (bytes > requestBytes_max / 2 && TxnRequestType.toBinary(request).length > requestBytes_max) {
    throw new StoreError('TOO_LARGE', `a txn of ${bytes} bytes; etcd takes ${requestBytes_max}`);
  }
};

/**
 * One revision, all or nothing. Never repeated by itself: after a StoreError with `ambiguous` the caller reads what it
 * compared (or wrote) before it tries again. An absent key has revision and created revision 0.
 */
export const txn = async (
  connections: Connections,
  compares: readonly Compare[],
  operations: readonly Operation[],
): Promise<TxnResult> => {
  const failure = compares.map(currentOf);
  const encode = encoder();
  const success = operations.map((operation) => operationOf(operation, encode));
  const request = { compare: compares.map(compareOf), success, failure };
  check(request);
  if (compares.some(({ kind }) => kind === 'empty')) {
    // etcd loads a whole range to compare it, while it applies nothing else: only a range that looks empty goes there.
    const { header, responses } = await connections.unary(stubs.txn, { compare: [], success: failure, failure: [] });
    const failed = failedOf(compares, responses);
    if (failed.length > 0) return { succeeded: false, revision: header?.revision ?? 0, failed };
  }
  const { succeeded, header, responses } = await connections.unary(stubs.txn, request, { write: true });
  const revision = header?.revision ?? 0;
  return succeeded ? { succeeded, revision } : { succeeded: false, revision, failed: failedOf(compares, responses) };
};
