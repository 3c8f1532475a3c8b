import { LeaderRecord } from '@megrez/model';
import { type Compare, keys, type Lease, type Operation, type TxnResult } from '@megrez/store';
import type { Context } from '../context';

const ttl_ms = 5_000;
const retry_ms = 500;

/** One term of this controller as the leader. */
export interface Term {
  /** Over when the lease is lost, another one leads, or this controller stops. */
  readonly over: AbortSignal;
  /** Writes unless another one leads by now, which ends the term. */
  write(compares: readonly Compare[], operations: readonly Operation[]): Promise<TxnResult>;
}

/** Leads whenever nobody else does: `lead` is called once per term and returns when the term is over. */
export const campaign = (context: Context, lead: (term: Term) => Promise<void>): { close(): Promise<void> } => {
  const closed = new AbortController();
  const done = run(context, lead, closed.signal);
  return {
    close: async () => {
      closed.abort();
      context.mirror.changed.raise();
      await done;
    },
  };
};

const run = async (context: Context, lead: (term: Term) => Promise<void>, closed: AbortSignal): Promise<void> => {
  const { mirror, shards, log } = context;
  while (!closed.aborted) {
    if (shards.led) {
      await mirror.changed.next(retry_ms);
      continue;
    }
    let lease: Lease | undefined;
    try {
      lease = await context.store.lease(ttl_ms);
      const created = await claim(context, lease);
      if (created !== undefined) {
        log.info({ term: created }, 'this controller leads');
        await serveTerm(context, lead, { lease, created, closed });
        log.info({ term: created }, 'this controller leads no more');
      } else {
        // The watch brings the other one's claim.
        await mirror.changed.next(retry_ms);
      }
    } catch (error) {
      log.warn({ err: error }, 'the election was interrupted');
      await mirror.changed.next(retry_ms);
    }
    // Also after a claim whose answer was lost: the key goes with its lease.
    await lease
      ?.revoke()
      .catch((error: unknown) => log.warn({ err: error }, 'the lease of the leader runs out by itself'));
  }
};

/** The term's create_revision; undefined when another one was quicker. */
const claim = async ({ store, incarnation }: Context, lease: Lease): Promise<number | undefined> => {
  const key = keys.leader();
  const value = LeaderRecord.create({ incarnation });
  const result = await store.txn([{ kind: 'absent', key }], [{ kind: 'put', key, value, lease }]);
  return result.succeeded ? result.revision : undefined;
};

const serveTerm = async (
  { store, log }: Context,
  lead: (term: Term) => Promise<void>,
  { lease, created, closed }: { readonly lease: Lease; readonly created: number; readonly closed: AbortSignal },
): Promise<void> => {
  const over = new AbortController();
  const end = (): void => over.abort();
  closed.addEventListener('abort', end, { once: true });
  void lease.lost.then(end);
  const mine: Compare = { kind: 'created', key: keys.leader(), revision: created };
  const term: Term = {
    over: over.signal,
    write: async (compares, operations) => {
      const result = await store.txn([mine, ...compares], operations);
      if (!result.succeeded && result.failed.some(({ compare }) => compare === mine)) end();
      return result;
    },
  };
  try {
    await lead(term);
  } catch (error) {
    log.error({ err: error }, 'the leader failed; it starts anew');
  } finally {
    closed.removeEventListener('abort', end);
    over.abort();
  }
};
