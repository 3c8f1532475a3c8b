import { RelayRecord } from '@megrez/model';
import { keys, type Lease, type Store } from '@megrez/store';
import type { Logger } from 'pino';

const ttl_ms = 5_000;
const retry_ms = 500;
/**
 * Without its key for so long, and the lease was last renewed 4.5 s earlier, this controller is about to be taken for dead:
 * 10 s after that renewal nobody waits for its hosts any more (`regrouping_ms`), and 2 s are theirs to stop denying.
 */
const unknown_ms = 3_000;

/** Keeps `relays/<incarnation>` in the store, the only leased key of a controller, as long as it lives. */
export interface Presence {
  /** Revision at which the key was first written. */
  readonly revision: number;
  close(): Promise<void>;
}

export interface Announced {
  readonly incarnation: string;
  /** Where other controllers reach its RelayService. */
  readonly address: string;
  /** Others cannot see this controller any more: whoever depends on that must leave it. */
  readonly onUnknown: () => void;
}

export const announce = async (
  store: Store,
  log: Logger,
  { incarnation, address, onUnknown }: Announced,
): Promise<Presence> => {
  const key = keys.relay(incarnation);
  const state = { closed: false };
  let lease: Lease;
  const put = async (): Promise<number> => {
    lease = await store.lease(ttl_ms);
    const value = RelayRecord.create({ incarnation, address });
    return (await store.txn([], [{ kind: 'put', key, value, lease }])).revision;
  };
  const renew = async (): Promise<void> => {
    for (;;) {
      await lease.lost;
      if (state.closed) return;
      log.warn({ incarnation }, 'the lease of this controller was lost; announcing it again');
      const timer = setTimeout(() => state.closed || onUnknown(), unknown_ms);
      while (!state.closed) {
        try {
          await put();
          break;
        } catch (error) {
          log.warn({ err: error }, 'this controller could not be announced');
          await new Promise((resolve) => setTimeout(resolve, retry_ms));
        }
      }
      clearTimeout(timer);
    }
  };
  const revision = await put();
  void renew();
  return {
    revision,
    close: async () => {
      state.closed = true;
      await lease.revoke();
    },
  };
};
