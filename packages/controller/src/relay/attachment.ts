import type { Context } from '../context';

/** A host counts as attached for this long after its agent's last ping. */
export const attached_ms = 3_000;

/**
 * The hosts of a relay that went come back to another one within this time. Until then they may serve, and deny
 * addresses, by what they know: nobody may go on without them.
 */
const regrouping_ms = 5_000;

export type Whereabouts =
  | { readonly kind: 'here' }
  /** The stream broke, or the relay went, a moment ago; the agent may come back, here or elsewhere. */
  | { readonly kind: 'unsettled' }
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
  if (record.relay === incarnation) return { kind: 'unsettled' };
  const relay = mirror.relays.get(record.relay)?.value;
  if (relay !== undefined) return { kind: 'elsewhere', relay: record.relay, address: relay.address };
  const lost_ms = mirror.lostRelays.get(record.relay) ?? mirror.started_ms;
  return { kind: performance.now() - lost_ms < regrouping_ms ? 'unsettled' : 'detached' };
};

export const isAttached = (context: Context, host: string): boolean => whereIs(context, host).kind !== 'detached';

/** Whether a host is attached, once that is certain: a broken stream settles within three seconds. */
export const settledAttachment = async (context: Context, host: string, deadline_ms: number): Promise<boolean> => {
  for (;;) {
    const { kind } = whereIs(context, host);
    if (kind !== 'unsettled' || performance.now() > deadline_ms) return kind !== 'detached';
    await context.mirror.changed.next(100);
  }
};
