/** Where the slots of one table shall be, and why. Pure. */
import type { SlotPlan, SlotTable } from '@megrez/model';
import { SlotState } from '@megrez/model';
import { ownersOf, type PlaceHost, place } from '@megrez/ring';
import { movesOf, restingTarget, type Target } from './moves';

/** What the users want of a table. */
export interface Wish {
  readonly bouncers: number;
  readonly pinned: readonly string[];
}

export interface FleetHost extends PlaceHost {
  /** Its agent has a session. */
  readonly attached: boolean;
  /** Why it must give up its slots, e.g. `is dead`; it is not eligible then. */
  readonly gone: string | undefined;
}

export const targetOf = (plan: SlotPlan): Target =>
  plan.slots.map(({ owners }) => owners.map((owner) => plan.owners[owner]?.host ?? ''));

/** Where the slots are meant to be by now: the plan while it is carried out, else where they serve. */
export const wantedTarget = (table: SlotTable, plan: SlotPlan | undefined): Target =>
  plan === undefined || plan.settled ? restingTarget(table) : targetOf(plan);

/** The hosts of a target. */
export const ownersIn = (target: Target): ReadonlySet<string> => new Set(target.flat());

/** A table all of whose slots serve where the target says: what placement starts from. */
export const tableOf = (table: SlotTable, target: Target, addressOf: (host: string) => string): SlotTable => {
  const names = [...ownersIn(target)].sort();
  const position = new Map(names.map((host, i) => [host, i]));
  const known = new Map(table.owners.map(({ host, address }) => [host, address]));
  return {
    ...table,
    owners: names.map((host) => ({ host, address: known.get(host) ?? addressOf(host) })),
    slots: target.map((hosts) => ({
      holders: hosts.map((host) => ({ owner: position.get(host) ?? 0, state: SlotState.SERVING })),
    })),
  };
};

/**
 * Why a table must be planned anew; undefined when it is as it should be, or on its way there. What an operator did by
 * hand, or stopped, is left alone until an owner goes or the wish changes.
 */
export const reasonToPlan = (
  table: SlotTable,
  plan: SlotPlan | undefined,
  wish: Wish,
  hosts: ReadonlyMap<string, FleetHost>,
): string | undefined => {
  // The dividers of a VPC that was made before there was a host come with its first subnet.
  if (table.owners.length === 0) return undefined;
  const target = wantedTarget(table, plan);
  const owners = ownersIn(target);
  const gone = [...owners].filter((host) => hosts.get(host)?.eligible !== true).sort();
  const candidates = [...hosts.values()].filter((host) => usable(host, owners));
  if (candidates.length === 0) return undefined;
  if (gone.length > 0) return gone.map((host) => `${host} ${hosts.get(host)?.gone ?? 'does not exist'}`).join(', ');
  if (plan !== undefined) {
    const same = plan.bouncers === wish.bouncers && plan.bouncerHosts.join() === wish.pinned.join();
    if (!same) return wished(wish);
    // What is settled is as somebody wants it, but for slots that have lost their second holder.
    if (!plan.settled) return undefined;
  }
  const count = Math.min(wish.bouncers, candidates.length);
  const copies = Math.min(2, owners.size);
  if (owners.size === 0 || target.some((holders) => holders.length < copies)) return 'slots have too few holders';
  if (plan?.settled === true) return undefined;
  if (owners.size !== count) {
    return owners.size < count && owners.size < wish.bouncers
      ? `${count} hosts can own slots, ${wish.bouncers} are wished`
      : wished(wish);
  }
  const absent = wish.pinned.filter((host) => !owners.has(host) && candidates.some(({ name }) => name === host));
  return absent.length > 0 ? `pinned to ${absent.join(', ')}` : undefined;
};

const wished = ({ bouncers, pinned }: Wish): string =>
  `${bouncers} ${bouncers === 1 ? 'owner is' : 'owners are'} wished${pinned.length > 0 ? `, among them ${pinned.join(', ')}` : ''}`;

/** A host that is detached for the moment keeps its slots, but gets no new ones. */
const usable = (host: FleetHost, owners: ReadonlySet<string>): boolean =>
  host.eligible && (host.attached || owners.has(host.name));

export interface PlanOptions {
  readonly table: SlotTable;
  readonly plan: SlotPlan | undefined;
  readonly wish: Wish;
  readonly hosts: ReadonlyMap<string, FleetHost>;
  readonly why: string;
  readonly job: number;
  /** The owner hosts, when they were chosen for the whole fleet; else those that keep most where it is. */
  readonly owners?: readonly string[];
}

/** Undefined when no host can own slots, or nothing would change. */
export const makePlan = (options: PlanOptions): SlotPlan | undefined => {
  const { table, plan, wish, hosts, owners } = options;
  const target = wantedTarget(table, plan);
  const present = ownersIn(target);
  const addressOf = (host: string): string => hosts.get(host)?.address ?? '';
  const candidates = [...hosts.values()].map((host) => ({ ...host, eligible: usable(host, present) }));
  const count = Math.min(wish.bouncers, candidates.filter(({ eligible }) => eligible).length);
  if (count === 0) return undefined;
  const pinned = wish.pinned.filter((name) => candidates.some((host) => host.name === name && host.eligible));
  const placed = place({
    vni: table.vni,
    subnet: table.subnet,
    hosts: candidates,
    bouncers: owners?.length ?? Math.max(count, pinned.length),
    pinned: owners ?? pinned,
    ...(present.size > 0 ? { table: tableOf(table, target, addressOf) } : {}),
  });
  const made = planFor(options, hostsBySlot(placed), addressOf);
  return movesOf(table, targetOf(made)).length === 0 && sameRoles(table, targetOf(made)) ? undefined : made;
};

/** A plan that brings the slots of the table where the target says. */
export const planFor = (
  { table, wish, why, job }: Pick<PlanOptions, 'table' | 'wish' | 'why' | 'job'>,
  target: Target,
  addressOf: (host: string) => string,
): SlotPlan => {
  const { owners } = tableOf(table, target, addressOf);
  const position = new Map(owners.map(({ host }, i) => [host, i]));
  return {
    vni: table.vni,
    subnet: table.subnet,
    job,
    why,
    owners,
    slots: target.map((hosts) => ({ owners: hosts.map((host) => position.get(host) ?? 0) })),
    settled: false,
    bouncers: wish.bouncers,
    bouncerHosts: [...wish.pinned],
    total: movesOf(table, target).length,
  };
};

export const hostsBySlot = (table: SlotTable): Target =>
  table.slots.map((_, slot) => ownersOf(table, slot).map(({ host }) => host));

const sameRoles = (table: SlotTable, target: Target): boolean =>
  restingTarget(table).every((hosts, slot) => hosts.join() === target[slot]?.join());
