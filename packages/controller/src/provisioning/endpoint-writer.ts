import type { Compare, Operation, Store, TxnResult } from '@megrez/store';
import type { Context } from '../context';
import { type Candidate, keysOf } from './endpoint-draft';
import { creationTxn, judge, type Outcome, pathOf, txn_limit } from './endpoint-write';

/** Writes one creation; those that come while others are under way share a txn. @throws StoreError */
export type EndpointWriter = (candidate: Candidate) => Promise<Outcome>;

/**
 * Transactions under way at once. A lone create never waits; under load what waits makes up the next txn. etcd commits one
 * after the other anyway, and fewer, larger ones are fewer messages to every agent concerned.
 */
const under_way = 1;
/** Creations that share a txn. */
const chunk = 30;

interface Waiting {
  readonly candidate: Candidate;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Chunk {
  readonly members: Waiting[];
  readonly compares: Compare[];
  readonly operations: Operation[];
}

export const endpointWriter = (context: () => Context): EndpointWriter => {
  let queue: Waiting[] = [];
  let running = 0;
  const pump = (): void => {
    while (queue.length > 0 && running < under_way) {
      const taken = take(queue);
      const members = new Set(taken.members);
      queue = queue.filter((waiting) => !members.has(waiting));
      running += 1;
      void commit(context().store, taken).then((again) => {
        running -= 1;
        queue.unshift(...again);
        pump();
      });
    }
  };
  /** Answers every member whose fate is known; the others, which failed for no fault of their own, go again. */
  const commit = async (store: Store, { members, compares, operations }: Chunk): Promise<Waiting[]> => {
    let result: TxnResult;
    try {
      result = await store.txn(compares, operations);
    } catch (error) {
      for (const { reject } of members) reject(error);
      return [];
    }
    const { revision } = result;
    if (result.succeeded) {
      for (const { resolve } of members) resolve({ kind: 'created', revision });
      return [];
    }
    context().metrics.retries.inc();
    const failed = new Set(result.failed.map(({ compare }) => pathOf(compare)));
    const again: Waiting[] = [];
    for (const waiting of members) {
      const { candidate, resolve, reject } = waiting;
      if (members.length > 1 && !comparedPaths(candidate).some((path) => failed.has(path))) again.push(waiting);
      else judge(context(), candidate, result).then(resolve, reject);
    }
    return again;
  };
  return (candidate) =>
    new Promise((resolve, reject) => {
      queue.push({ candidate, resolve, reject });
      pump();
    });
};

const comparedPaths = (candidate: Candidate): string[] => creationTxn([candidate]).compares.map(pathOf);

const claimedPaths = ({ endpoint, ip }: Candidate): string[] => {
  const own = keysOf(endpoint, ip);
  return [...own.slots, own.name, ...(own.mac === undefined ? [] : [own.mac])].map(({ path }) => path);
};

/** As many as fit one txn, in the order they came; no key is written twice in one. */
const take = (queue: readonly Waiting[]): Chunk => {
  const members: Waiting[] = [];
  const compares = new Map<string, Compare>();
  const operations: Operation[] = [];
  const claimed = new Set<string>();
  for (const waiting of queue) {
    if (members.length >= chunk) break;
    const claims = claimedPaths(waiting.candidate);
    if (claims.some((path) => claimed.has(path))) continue;
    const own = creationTxn([waiting.candidate]);
    const more = own.compares.filter((compare) => !compares.has(pathOf(compare)));
    if (compares.size + more.length > txn_limit || operations.length + own.operations.length > txn_limit) break;
    if (disagrees(compares, own.compares)) continue;
    members.push(waiting);
    for (const compare of more) compares.set(pathOf(compare), compare);
    for (const path of claims) claimed.add(path);
    operations.push(...own.operations);
  }
  return { members, compares: [...compares.values()], operations };
};

/** Two creations that saw different revisions of one thing cannot both be right. */
const disagrees = (compares: ReadonlyMap<string, Compare>, own: readonly Compare[]): boolean =>
  own.some((compare) => {
    const other = compares.get(pathOf(compare));
    return other?.kind === 'revision' && compare.kind === 'revision' && other.revision !== compare.revision;
  });
