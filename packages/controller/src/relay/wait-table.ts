import { type ServiceError, status } from '@grpc/grpc-js';
import { type ListTableUsersResponse, MegrezError } from '@megrez/model';
import { keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import { subnetKey } from '../mirror';
import { whereIs } from './attachment';
import { waitHosts } from './readiness';
import { SessionEnded } from './session-ended';

export interface TableWait {
  /** Attached users of the table that have not acknowledged the revision by the deadline. */
  readonly late: readonly string[];
  /** Users that are not attached: nobody waited for them, and they may go by any older table. */
  readonly unattached: readonly string[];
}

const ask_ms = 1_000;
const retry_ms = 100;

/**
 * Waits until every attached user of a slot table (`subnet` 0: of the VPC's dividers) has a revision in its kernel. Users
 * are the hosts with endpoints in the subnet (for dividers: in the VPC), the owners that the table lists (those without
 * slots too) and, of a subnet's table, the VPC's dividers. Each relay names those that are connected to it; a host that
 * nobody could ask in time is late. Never throws for a late host.
 * @throws MegrezError UNAVAILABLE / CONTROLLER_STOPS
 */
export const waitTable = async (
  context: Context,
  vni: number,
  subnet: number,
  revision: number,
  deadline_ms: number,
): Promise<TableWait> => {
  const table = { vni, subnet, revision };
  const found = await findUsers(context, table, deadline_ms);
  const { late } = await waitHosts(context, { hosts: found.users, required: new Set(), revision, deadline_ms });
  const unattached = await unattachedUsers(context, table);
  return { late: [...new Set([...late, ...found.unknown])].sort(), unattached: [...unattached].sort() };
};

interface Table {
  readonly vni: number;
  readonly subnet: number;
  readonly revision: number;
}

interface Found {
  readonly users: ReadonlySet<string>;
  /** Attached hosts whose relay gave no answer. */
  readonly unknown: readonly string[];
}

/** Asks every relay until each attached host has been named by one: hosts may go from relay to relay meanwhile. */
const findUsers = async (context: Context, table: Table, deadline_ms: number): Promise<Found> => {
  const users = new Set<string>();
  const others = new Set<string>();
  for (;;) {
    if (context.closing.aborted) throw stopping();
    const open = [...context.mirror.hosts.keys()].filter((host) => !users.has(host) && !others.has(host));
    // Who is attached is known when everything up to the revision is.
    const behind = context.mirror.revision < table.revision;
    const unknown = behind ? open : open.filter((host) => whereIs(context, host).kind !== 'detached');
    const left = deadline_ms - performance.now();
    if (unknown.length === 0 || left <= 0) return { users, unknown };
    const answers = await Promise.all(
      relaysOf(context, unknown).map(([relay, address]) => askRelay(context, relay, address, table, left)),
    );
    for (const answer of answers) {
      for (const host of answer?.users ?? []) users.add(host);
      for (const host of answer?.others ?? []) others.add(host);
    }
    if (unknown.some((host) => !users.has(host) && !others.has(host))) {
      await context.mirror.changed.next(Math.min(retry_ms, Math.max(0, deadline_ms - performance.now())));
    }
  }
};

/** Incarnation and address; this controller's own address is not needed. */
const relaysOf = (context: Context, hosts: readonly string[]): [string, string][] => {
  const relays = new Map<string, string>();
  for (const host of hosts) {
    const where = whereIs(context, host);
    if (where.kind === 'here') relays.set(context.incarnation, '');
    if (where.kind === 'elsewhere') relays.set(where.relay, where.address);
  }
  return [...relays];
};

const askRelay = async (
  context: Context,
  relay: string,
  address: string,
  { vni, subnet, revision }: Table,
  left_ms: number,
): Promise<ListTableUsersResponse | undefined> => {
  const timeout_ms = Math.min(left_ms, ask_ms);
  try {
    if (relay === context.incarnation) {
      return await listTableUsers(context, { vni, subnet, revision }, performance.now() + timeout_ms);
    }
    return await context.peers.call(address, 'listTableUsers', { relay, vni, subnet, revision }, timeout_ms);
  } catch (error) {
    if (error instanceof SessionEnded) return undefined;
    const { code } = error as ServiceError;
    const passing: readonly number[] = [status.UNAVAILABLE, status.FAILED_PRECONDITION, status.DEADLINE_EXCEEDED];
    if (!passing.includes(code)) context.log.warn({ err: error, address }, 'a relay could not be asked');
    return undefined;
  }
};

/**
 * Of the hosts connected here. Who is still being told what it must know counts as a user.
 * @throws SessionEnded when the watch does not reach the revision in time
 */
export const listTableUsers = async (
  { mirror, sessions }: Context,
  { vni, subnet, revision }: Table,
  deadline_ms: number,
): Promise<ListTableUsersResponse> => {
  while (mirror.revision < revision) {
    const left = deadline_ms - performance.now();
    if (left <= 0) throw new SessionEnded('the watch is behind');
    await mirror.changed.next(left);
  }
  const key = subnetKey(vni, subnet);
  const living = [...sessions.values()].filter((session) => !session.ended);
  const users = living.filter((session) => session.loading || session.knows(key)).map(({ host }) => host);
  return { users, others: living.map(({ host }) => host).filter((host) => !users.includes(host)) };
};

/** Detached hosts that use a table, as the store says. */
const unattachedUsers = async (context: Context, { vni, subnet }: Table): Promise<ReadonlySet<string>> => {
  const { store, mirror } = context;
  const detached = [...mirror.hosts.keys()].filter((host) => whereIs(context, host).kind === 'detached');
  if (detached.length === 0) return new Set();
  const tables = await store.getMany([keys.slots(vni, subnet), keys.slots(vni, 0)]);
  const owners = new Set(tables.flatMap((table) => table?.value.owners.map(({ host }) => host) ?? []));
  const users = await Promise.all(
    detached.map(async (host) => {
      if (owners.has(host)) return [host];
      const inside = prefixes.byHost(host, vni, subnet === 0 ? undefined : subnet);
      return (await store.count(inside)) > 0 ? [host] : [];
    }),
  );
  return new Set(users.flat());
};

const stopping = (): MegrezError =>
  new MegrezError({
    code: 'UNAVAILABLE',
    reason: 'CONTROLLER_STOPS',
    object: 'controller',
    message: 'this controller stops while it waits for the users of a slot table',
  });
