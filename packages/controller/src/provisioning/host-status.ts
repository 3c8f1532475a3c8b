import type { HostStatus } from '@megrez/model';
import type { Context } from '../context';
import { attached_ms, whereIs } from '../relay/attachment';

const ask_ms = 2_000;

/** Of the agents connected here; `endpoints` is left to who asks the store. */
export const localStatus = ({ sessions, incarnation }: Context, host: string): HostStatus | undefined => {
  const session = sessions.get(host);
  if (session === undefined || session.ended) return undefined;
  const silence_ms = Math.round(performance.now() - session.last_ping_ms);
  return {
    attached: silence_ms < attached_ms,
    relay: incarnation,
    endpoints: 0,
    lastPingMs: silence_ms,
    ...(session.report === undefined ? {} : { report: session.report }),
  };
};

/** Asks the other controllers, each once, about the hosts connected there. Hosts that nobody has are absent. */
export const statusOf = async (context: Context, hosts: readonly string[]): Promise<Map<string, HostStatus>> => {
  const known = new Map<string, HostStatus>();
  const elsewhere = new Map<string, string[]>();
  for (const host of hosts) {
    const local = localStatus(context, host);
    const where = whereIs(context, host);
    if (local !== undefined) known.set(host, local);
    else if (where.kind === 'elsewhere') elsewhere.set(where.address, [...(elsewhere.get(where.address) ?? []), host]);
  }
  await Promise.all(
    [...elsewhere].map(async ([address, asked]) => {
      try {
        const answer = await context.peers.call(address, 'getHostStatus', { hosts: asked }, ask_ms);
        for (const { name, status } of answer.hosts) if (status !== undefined) known.set(name, status);
      } catch (error) {
        context.log.warn({ err: error, address }, 'a controller could not be asked for its hosts');
      }
    }),
  );
  return known;
};
