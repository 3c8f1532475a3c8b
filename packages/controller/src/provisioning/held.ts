import { addressHex, type HeldAddress, parseAddress } from '@megrez/model';
import { type Entry, keys } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { whereIs } from '../relay/attachment';
import { waitHosts } from '../relay/readiness';

const ask_ms = 250;

/**
 * Frees the address of a deleted endpoint, if every host that knew it has acknowledged the deletion or is no longer in
 * the cluster. Any controller may do so, at any time.
 */
export const finishHeld = async (
  context: Context,
  held: Pick<Entry<HeldAddress>, 'value' | 'revision'>,
  wait_ms = ask_ms,
): Promise<boolean> => {
  const { mirror } = context;
  const hosts = held.value.hosts.filter((host) => mirror.hosts.has(host));
  if (hosts.some((host) => whereIs(context, host).kind === 'detached')) return false;
  const deadline_ms = performance.now() + wait_ms;
  const { late } = await waitHosts(context, {
    hosts,
    required: new Set(hosts),
    revision: held.revision,
    deadline_ms,
  });
  return late.length === 0 && releaseHeld(context, held);
};

/** Unless somebody else has, or the address was deleted once more. */
export const releaseHeld = async ({ store }: Context, { value, revision }: Stored<HeldAddress>): Promise<boolean> => {
  const { endpoint } = value;
  if (endpoint === undefined) return false;
  const key = keys.held(endpoint.vni, endpoint.subnetNumber, addressHex(parseAddress(endpoint.ip)));
  const result = await store.txn([{ kind: 'revision', key, revision }], [{ kind: 'remove', key }]);
  return result.succeeded || result.failed.every(({ current }) => current === undefined);
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
