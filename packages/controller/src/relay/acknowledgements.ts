import type { Failure } from '@megrez/model';
import { SessionEnded } from './session-ended';

const failures_kept = 4_096;

/** A piece of work of a session: what one revision, or one load, needs to be sent. */
export interface Item {
  /** 0 for a snapshot: whoever waits for anything waits for it. */
  readonly revision: number;
  /** Number of the last message that the item needed; undefined while it is under way. */
  sequence: number | undefined;
}

/**
 * The books of one session: what was sent, what is acknowledged, and so which revisions are in the host's kernel.
 * Items are completed in the order in which they came, whatever the order of anything else.
 */
export interface Acknowledgements {
  /** Number of the last message sent. */
  readonly sent: number;
  /** Changes sent and not yet acknowledged. */
  readonly outstanding: number;
  begin(revision: number): Item;
  /** Numbers a message that is about to be sent. */
  number(changes: number): number;
  /** Everything that the items need has been sent. */
  complete(items: readonly Item[]): void;
  /** From the agent: everything up to the number is done. False when it was never sent. */
  acknowledge(sequence: number, failures: readonly Failure[]): boolean;
  /** Is everything up to the revision done? The caller has seen to it that the watch has processed it. */
  applied(revision: number): boolean;
  /** @throws SessionEnded */
  waitApplied(revision: number): Promise<void>;
  /** Resolves when a message is acknowledged. @throws SessionEnded */
  waitSequence(sequence: number): Promise<void>;
  /** What the agent could not apply of the objects of exactly this generation. */
  failuresAt(generation: number): readonly Failure[];
  /** Sends everybody who waits for a revision away, to look whether to go on waiting. */
  abandon(error: SessionEnded): void;
  /** Sends everybody away. */
  end(error: SessionEnded): void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: SessionEnded) => void;
}

export const acknowledgements = (): Acknowledgements => {
  const items: Item[] = [];
  /** Changes per message not yet acknowledged. */
  const sizes: number[] = [];
  const failed = new Map<number, Failure[]>();
  let sent = 0;
  let acked = 0;
  let outstanding = 0;
  let ended = false;
  /** By revision: creations that shared a txn wait as one, and so does who asks again. */
  const revisions = new Map<number, PromiseWithResolvers<void>>();
  let sequences: (Waiter & { readonly sequence: number })[] = [];

  const applied = (revision: number): boolean => !ended && (items[0] === undefined || items[0].revision > revision);
  const settle = (): void => {
    let done = 0;
    for (let item = items[0]; item?.sequence !== undefined && item.sequence <= acked; item = items[done]) done += 1;
    if (done === 0) return;
    items.splice(0, done);
    for (const [revision, waiter] of revisions) {
      if (!applied(revision)) continue;
      revisions.delete(revision);
      waiter.resolve();
    }
  };
  const remember = (failures: readonly Failure[]): void => {
    for (const failure of failures) {
      failed.set(failure.generation, [...(failed.get(failure.generation) ?? []), failure]);
    }
    for (const oldest of failed.keys()) {
      if (failed.size <= failures_kept) return;
      failed.delete(oldest);
    }
  };
  const abandon = (error: SessionEnded): void => {
    const waiting = [...revisions.values()];
    revisions.clear();
    for (const { reject } of waiting) reject(error);
  };

  return {
    get sent() {
      return sent;
    },
    get outstanding() {
      return outstanding;
    },
    begin: (revision) => {
      const item = { revision, sequence: undefined };
      items.push(item);
      return item;
    },
    number: (changes) => {
      sent += 1;
      outstanding += changes;
      sizes.push(changes);
      return sent;
    },
    complete: (done) => {
      for (const item of done) item.sequence = sent;
      settle();
    },
    acknowledge: (sequence, failures) => {
      if (sequence > sent) return false;
      remember(failures);
      for (; acked < sequence; acked += 1) outstanding -= sizes.shift() ?? 0;
      const ready = sequences.filter((waiter) => waiter.sequence <= acked);
      sequences = sequences.filter((waiter) => waiter.sequence > acked);
      for (const { resolve } of ready) resolve();
      settle();
      return true;
    },
    applied,
    waitApplied: (revision) => {
      if (ended) return Promise.reject(new SessionEnded());
      if (applied(revision)) return Promise.resolve();
      const waiter = revisions.get(revision) ?? Promise.withResolvers<void>();
      revisions.set(revision, waiter);
      return waiter.promise;
    },
    waitSequence: (sequence) => {
      if (ended) return Promise.reject(new SessionEnded());
      return new Promise((resolve, reject) => {
        sequences.push({ sequence, resolve, reject });
      });
    },
    failuresAt: (generation) => failed.get(generation) ?? [],
    abandon,
    end: (error) => {
      ended = true;
      abandon(error);
      for (const { reject } of sequences.splice(0)) reject(error);
    },
  };
};
