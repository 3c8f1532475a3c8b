import type { Context } from '../context';

/** A host counts as attached for this long after its agent's last ping. */
export const attached_ms = 3_000;

export type Whereabouts =
  | { readonly kind: 'here' }
  | { readonly kind: 'elsewhere'; readonly relay: string; readonly address: string }
  | { readonly kind: 'detached' };

/**
 * Where a host's session is, as the store says: a record `sessions/<host>` that names a living relay. The relay takes
 * the record away when the agent falls silent, and a dead relay's own key goes with its lease.
 */
export const whereIs = ({ mirror, incarnation, sessions }: Context, host: string): Whereabouts => {
  const session = sessions.get(host);
  if (session !== undefined && !session.ended) {
    return performance.now() - session.last_ping_ms < attached_ms ? { kind: 'here' } : { kind: 'detached' };
  }
  const record = mirror.sessions.get(host)?.value;
  if (record === undefined) return { kind: 'detached' };
  if (record.relay === incarnation) return { kind: 'here' };
  const relay = mirror.relays.get(record.relay)?.value;
  return relay === undefined
    ? { kind: 'detached' }
    : { kind: 'elsewhere', relay: record.relay, address: relay.address };
};

export const isAttached = (context: Context, host: string): boolean => whereIs(context, host).kind !== 'detached';
