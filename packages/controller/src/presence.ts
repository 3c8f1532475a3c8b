import { RelayRecord } from '@megrez/model';
import { keys, type Lease, type Store } from '@megrez/store';
import type { Logger } from 'pino';

const ttl_ms = 5_000;
const retry_ms = 500;

/** Keeps `relays/<incarnation>` in the store, the only leased key of a controller, as long as it lives. */
export interface Presence {
  /** Revision at which the key was first written. */
  readonly revision: number;
  close(): Promise<void>;
}

export const announce = async (store: Store, log: Logger, incarnation: string, address: string): Promise<Presence> => {
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
      while (!state.closed) {
        try {
          await put();
          break;
        } catch (error) {
          log.warn({ err: error }, 'this controller could not be announced');
          await new Promise((resolve) => setTimeout(resolve, retry_ms));
        }
      }
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
