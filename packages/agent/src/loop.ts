import type { Batch, Failure, Welcome } from '@megrez/model';
import { type HostSettings, ownerAddresses, planConfig, planUnderlay, row } from '@megrez/plan';
import type { Logger } from 'pino';
import type { Bouncer } from './hook';
import { giveBack } from './memory';
import type { NextHops } from './next-hops';
import type { Reconciler } from './reconcile';
import type { Rows } from './rows';
import { attached_ms, type Session } from './session';
import { emptyMarks, forgetUnnamed, type Marks, markNamed } from './snapshot';

/** A table is acknowledged after this long even if the link address of an owner is still unknown. */
const next_hop_wait_ms = 1_000;

/** After a round that failed as a whole. */
const retry_ms = 1_000;

/** Endpoints in a snapshot whose garbage is worth collecting at once. */
const large_snapshot = 10_000;

type Item =
  | { readonly kind: 'welcome'; readonly session: Session; readonly welcome: Welcome }
  | { readonly kind: 'batch'; readonly session: Session; readonly batch: Batch; readonly received_at: number };

export interface LoopFields {
  readonly settings: () => HostSettings;
  readonly rows: Rows;
  readonly reconciler: Reconciler;
  readonly nextHops: NextHops;
  readonly bouncer: Bouncer;
  /** Which store the rows come from; empty before the first session. */
  readonly storeId: { read(): string; write(id: string): void };
  /** What a complete snapshot does not name: interfaces first, everything else when its own endpoints are there. */
  readonly removeStale: (marks: Marks) => Promise<void>;
  readonly prune: (marks: Marks, underlayPrefixes: readonly string[]) => Promise<void>;
  readonly applied: (seconds: number) => void;
}

export interface Loop {
  welcome(session: Session, welcome: Welcome): void;
  batch(session: Session, batch: Batch): void;
  /** A pong: the host is attached if its rows are complete. */
  pong(session: Session, sent_ns: bigint): void;
  /** Looks at endpoints again that failed or lost their interface. */
  markAgain(ids: readonly string[]): void;
  /** The current session's snapshot is in the kernel. */
  readonly complete: boolean;
  /** Everything of the store up to here is applied. */
  readonly revision: number;
  readonly busy: boolean;
  close(): Promise<void>;
}

/** The agent's one loop: mark, plan, compare with the kernel, apply, acknowledge. */
export const startLoop = (fields: LoopFields, log: Logger): Loop => {
  const { rows, reconciler, nextHops, bouncer, storeId } = fields;
  const inbox: Item[] = [];
  const again: string[] = [];
  let closing = false;
  let busy = false;
  let wake = (): void => undefined;
  /** The session whose snapshot is complete. */
  let complete: Session | undefined;
  let snapshot:
    | {
        readonly session: Session;
        readonly marks: Marks;
        readonly prefixes: readonly string[];
        readonly storeId: string;
      }
    | undefined;
  let revision = 0;

  const onWelcome = (session: Session, { storeId: id, underlayPrefixes, leases }: Welcome): void => {
    const before = storeId.read();
    if (before !== id) {
      // Revisions of another store cannot be compared with ours.
      rows.forced = before !== '';
      if (rows.forced) {
        log.warn({ before, now: id }, 'the store was restored or replaced: its revisions count from now on');
        reconciler.forget();
      }
      revision = 0;
    }
    for (const one of [...planConfig(fields.settings(), leases), ...planUnderlay(underlayPrefixes)]) rows.put(one);
    snapshot = { session, marks: emptyMarks(), prefixes: underlayPrefixes, storeId: id };
    reconciler.holdBack();
  };

  const finishSnapshot = async (session: Session): Promise<readonly Failure[]> => {
    if (snapshot?.session !== session) return reconciler.apply();
    const { marks, prefixes, storeId: id } = snapshot;
    snapshot = undefined;
    forgetUnnamed(reconciler.known, marks);
    await fields.removeStale(marks);
    // Who found its place taken may have it now.
    for (const endpoint of reconciler.failed.keys()) reconciler.markEndpoint(endpoint);
    const failures = await reconciler.apply();
    // What an earlier holding of a slot left must not be answered with.
    await fields.prune(marks, prefixes);
    reconciler.release();
    // Paths learned from the other store have generations that nothing of this one would replace.
    if (rows.forced) await rows.prune('paths', () => false);
    rows.forced = false;
    // Only now: an agent killed half-way must know that its rows are still of the other one.
    if (storeId.read() !== id) storeId.write(id);
    complete = session;
    if (marks.endpoints.size >= large_snapshot) setImmediate(giveBack);
    log.info({ endpoints: reconciler.known.endpoints.size, mappings: rows.count('mappings') }, 'snapshot complete');
    return failures;
  };

  /** Where lookups are answered first is no part of what is acknowledged, and may take half a second. */
  let following = Promise.resolve();
  const follow = (): void => {
    // Before the first snapshot nobody knows what the host does.
    if (complete === undefined) return;
    const role = { holdsSlots: reconciler.holdsSlots, hasEndpoints: reconciler.known.interfaces.size > 0 };
    following = following
      .then(() => bouncer.follow(role))
      .catch((error: unknown) => log.error({ error, ...role }, 'bouncer hook'));
  };

  /** One round: everything that came in since the last one. Batches of a snapshot are rounds of their own. */
  const round = async (items: readonly Item[]): Promise<void> => {
    let last: Extract<Item, { kind: 'batch' }> | undefined;
    let failures: readonly Failure[] = [];
    for (const item of items) {
      if (item.session.ended) continue;
      if (item.kind === 'welcome') {
        onWelcome(item.session, item.welcome);
        continue;
      }
      const { batch, session } = item;
      last = item;
      reconciler.mark(batch.changes);
      if (snapshot?.session === session) markNamed(snapshot.marks, batch.changes);
      if (batch.snapshotEnd) failures = [...failures, ...(await finishSnapshot(session))];
    }
    failures = [...failures, ...(await reconciler.apply())];
    // Whose place is taken by an endpoint that the rest of the snapshot may not name is tried again at its end.
    if (snapshot !== undefined) failures = failures.filter((failure) => !reconciler.isFailed(failure));
    follow();
    if (last === undefined) return;
    await nextHops.settled(new Set(items.flatMap(ownersIn)), next_hop_wait_ms);
    last.session.acknowledge(last.batch.sequence, failures);
    revision = Math.max(revision, last.batch.revision);
    const now = performance.now();
    for (const item of items) {
      if (item.kind !== 'batch') continue;
      item.session.done(item.batch.changes.length);
      fields.applied((now - item.received_at) / 1_000);
    }
  };

  const run = async (): Promise<void> => {
    while (!closing) {
      if (inbox.length === 0 && again.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      busy = true;
      const ids = again.splice(0);
      for (const id of ids) reconciler.markEndpoint(id);
      const items = inbox.splice(0);
      try {
        await round(items);
      } catch (error) {
        // What was under way is not acknowledged: the session starts again and brings everything once more.
        log.error({ error }, 'round failed');
        for (const { session } of items) session.fail(error);
        // What no session brings once more.
        if (ids.length > 0) setTimeout(() => closing || markAgain(ids), retry_ms).unref();
      }
      busy = false;
    }
  };
  const done = run();
  const markAgain = (ids: readonly string[]): void => {
    again.push(...ids);
    wake();
  };
  const push = (item: Item): void => {
    inbox.push(item);
    wake();
  };

  return {
    welcome: (session, welcome) => push({ kind: 'welcome', session, welcome }),
    batch: (session, batch) => push({ kind: 'batch', session, batch, received_at: performance.now() }),
    pong: (session, sent_ns) => {
      // A bouncer with half of its mappings must not call an address unknown.
      if (complete === session) rows.put(row('attached', 0, { until: sent_ns + BigInt(attached_ms) * 1_000_000n }));
    },
    markAgain,
    get complete() {
      return complete !== undefined && !complete.ended;
    },
    get revision() {
      return revision;
    },
    get busy() {
      return busy;
    },
    close: async () => {
      closing = true;
      wake();
      await done;
      await following;
    },
  };
};

/** Hosts that the tables of a batch name. */
const ownersIn = (item: Item): readonly string[] =>
  item.kind === 'batch'
    ? item.batch.changes.flatMap(({ object }) => (object.oneofKind === 'table' ? ownerAddresses(object.table) : []))
    : [];
