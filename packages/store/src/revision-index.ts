/** What the watch has delivered: the mod_revision of every path that exists. Costs about 110 bytes per path. */
import { pathOf } from './codec';
import type { KeyValue } from './gen/etcd/kv';
import type { WatchEvent } from './types';

export interface RevisionIndex {
  /** Notes events that are being delivered. */
  apply(events: readonly WatchEvent[]): void;
  /**
   * Starts comparing with a snapshot; nothing changes until `finish`. `all`: every path counts as changed, because the
   * known revisions are another store's.
   */
  compare(options: { readonly all: boolean }): Comparison;
  readonly size: number;
}

export interface Comparison {
  add(kvs: readonly KeyValue[]): void;
  /** Takes the snapshot of `revision` over; the difference in the order of the paths, deletions (of that revision) last. */
  finish(revision: number): readonly WatchEvent[];
}

export const createRevisionIndex = (): RevisionIndex => {
  let known = new Map<string, number>();
  return {
    get size() {
      return known.size;
    },
    apply(events) {
      for (const { path, revision, value } of events) {
        if (value === undefined) known.delete(path);
        else known.set(path, revision);
      }
    },
    compare({ all }) {
      const found = new Map<string, number>();
      const events: WatchEvent[] = [];
      return {
        add(kvs) {
          for (const { key, modRevision, value } of kvs) {
            const path = pathOf(key);
            found.set(path, modRevision);
            if (all || known.get(path) !== modRevision) events.push({ path, revision: modRevision, value });
          }
        },
        finish(revision) {
          for (const path of known.keys()) {
            if (!found.has(path)) events.push({ path, revision, value: undefined });
          }
          known = found;
          return events;
        },
      };
    },
  };
};
