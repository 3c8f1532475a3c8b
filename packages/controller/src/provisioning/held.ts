import type { HeldAddress } from '@megrez/model';
import type { Entry } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { whereIs } from '../relay/attachment';
import { waitHosts } from '../relay/readiness';
import { keysOf } from './endpoint-draft';

const ask_ms = 250;

export type HeldState =
  /** Free by now. */
  | 'free'
  /** Everybody who is attached has forgotten it; hosts that are detached may have not. */
  | 'detached'
  /** Somebody attached has not confirmed yet. */
  | 'late';

/**
 * Frees the addresses of a deleted endpoint, if every host that knew it has acknowledged the deletion or is no longer in
 * the cluster. Any controller may do so, at any time.
 */
export const finishHeld = async (
  context: Context,
  held: Pick<Entry<HeldAddress>, 'value' | 'revision'>,
  wait_ms = ask_ms,
): Promise<HeldState> => {
  const { mirror } = context;
  const hosts = held.value.hosts.filter((host) => mirror.hosts.has(host));
  const attached = hosts.filter((host) => whereIs(context, host).kind !== 'detached');
  const deadline_ms = performance.now() + wait_ms;
  const { late } = await waitHosts(context, {
    hosts: attached,
    required: new Set(attached),
    revision: held.revision,
    deadline_ms,
  });
  if (late.length > 0) return 'late';
  if (attached.length < hosts.length) return 'detached';
  return (await releaseHeld(context, held)) ? 'free' : 'late';
};

/** Unless somebody else has, or an address was deleted once more. */
export const releaseHeld = async ({ store }: Context, { value, revision }: Stored<HeldAddress>): Promise<boolean> => {
  if (value.endpoint === undefined) return false;
  const results = await Promise.all(
    keysOf(value.endpoint).held.map((key) =>
      store.txn([{ kind: 'revision', key, revision }], [{ kind: 'remove', key }]),
    ),
  );
  return results.every((result) => result.succeeded || result.failed.every(({ current }) => current === undefined));
};

const sweep_ms = 2_000;
/** A deletion that is still waiting for its hosts is left to who called it. */
const settle_ms = 3_000;

/** Frees addresses whose deletion nobody waits for any more; asks nothing of the store while none is held. */
export const sweepHeld = (context: Context): { stop(): void } => {
  const seen = new Map<string, { readonly revision: number; readonly since_ms: number }>();
  let running = false;
  const sweep = async (): Promise<void> => {
    const { held } = context.mirror;
    const now = performance.now();
    for (const id of seen.keys()) if (!held.has(id)) seen.delete(id);
    for (const [id, address] of held) {
      const known = seen.get(id);
      if (known?.revision !== address.revision) seen.set(id, { revision: address.revision, since_ms: now });
      else if (now - known.since_ms > settle_ms) await finishHeld(context, address);
    }
  };
  const timer = setInterval(() => {
    if (running) return;
    running = true;
    sweep()
      .catch((error: unknown) => context.log.warn({ err: error }, 'held addresses could not be freed'))
      .finally(() => {
        running = false;
      });
  }, sweep_ms);
  return { stop: () => clearInterval(timer) };
};
