import { type Slot, SlotState, type SlotTable } from '@megrez/model';
import { assign } from './assign';
import { choose } from './choose';
import { slotCount } from './hash';
import type { PlaceHost } from './preference';

export interface PlaceOptions {
  readonly vni: number;
  /** Number of the subnet; 0 for the VPC's dividers. */
  readonly subnet: number;
  /** What errors are about, e.g. `subnet acme/web`. */
  readonly object?: string;
  /** The table as it is; absent at creation. */
  readonly table?: SlotTable;
  /** All hosts, in any order. */
  readonly hosts: readonly PlaceHost[];
  /** Number of owner hosts; 0 asks for the pinned ones, else for 2, or 1 with a single eligible host. */
  readonly bouncers: number;
  /** Hosts that must be owners. */
  readonly pinned: readonly string[];
  /** Choose the owners anew by the ring, as for a new table, instead of keeping the present ones. */
  readonly rebalance?: boolean;
}

/**
 * The slot table as it should be, all holders SERVING: n owner hosts; 256 slots with a primary and, with n >= 2, a
 * secondary on another host (another zone where the owners' zones allow), each role dealt +-1. Among all such tables
 * it is the one that keeps most of the present table. The epoch is 1 for the first, else one more than before; a table
 * that is as it should be is returned as it is.
 *
 * Pure: the same input, hosts in any order, gives the same table.
 * @throws MegrezError FAILED_PRECONDITION / NO_ELIGIBLE_HOST, TOO_MANY_BOUNCERS, HOST_INELIGIBLE;
 *   NOT_FOUND / HOST_NOT_FOUND; INVALID_ARGUMENT / TOO_MANY_BOUNCER_HOSTS
 */
export const place = (options: PlaceOptions): SlotTable => {
  const owners = choose(options);
  const slots = deal(owners, options.table);
  const table: SlotTable = {
    vni: options.vni,
    subnet: options.subnet,
    epoch: 1,
    owners: owners.map(({ name, address }) => ({ host: name, address })),
    slots,
    generation: 0,
  };
  if (options.table === undefined) return table;
  if (sameContent(options.table, table)) return options.table;
  return { ...table, epoch: options.table.epoch + 1 };
};

const sameContent = (a: SlotTable, b: SlotTable): boolean =>
  JSON.stringify([a.owners, a.slots]) === JSON.stringify([b.owners, b.slots]);

/** What a slot's change costs, in the order of importance; each outweighs 256 of the next. */
const cost = { sameZone: 2 ** 40, copy: 2 ** 30, role: 2 ** 20, spread: 2 ** 10 } as const;

const deal = (owners: readonly PlaceHost[], table: SlotTable | undefined): Slot[] => {
  const present = presentHolders(owners, table);
  const n = owners.length;
  const primaryCosts = present.map((holders, slot) =>
    owners.map((_, owner) => change(holders, owner, 0) + spread(slot, owner)),
  );
  const primaries = assign(primaryCosts, n);
  if (primaries === undefined) throw new RangeError('every owner may be primary of every slot');
  if (n === 1) return primaries.map((owner) => ({ holders: [{ owner, state: SlotState.SERVING }] }));

  const secondaryCosts = present.map((holders, slot) => {
    const primary = primaries[slot] as number;
    return owners.map((host, owner) => {
      if (owner === primary) return Number.POSITIVE_INFINITY;
      const zone = host.zone !== '' && host.zone === owners[primary]?.zone ? cost.sameZone : 0;
      return zone + change(holders, owner, 1) + spread(slot, owner + n);
    });
  });
  const secondaries = assign(secondaryCosts, n);
  if (secondaries === undefined) throw new RangeError('balanced primaries leave room for balanced secondaries');
  return primaries.map((primary, slot) => ({
    holders: [primary, secondaries[slot] as number].map((owner) => ({ owner, state: SlotState.SERVING })),
  }));
};

/** Per slot the positions (in `owners`) of its present primary and secondary; -1 for hosts that own no more. */
const presentHolders = (owners: readonly PlaceHost[], table: SlotTable | undefined): readonly (readonly number[])[] => {
  const position = new Map(owners.map((owner, i) => [owner.name, i]));
  return Array.from({ length: slotCount }, (_, slot) =>
    (table?.slots[slot]?.holders ?? [])
      .filter((holder) => holder.state !== SlotState.LEAVING)
      .map((holder) => position.get(table?.owners[holder.owner]?.host ?? '') ?? -1),
  );
};

/** Nothing for the holder in its role, little for a change of role, most for a host that must copy the slot's rows. */
const change = (holders: readonly number[], owner: number, role: number): number => {
  const held = holders.indexOf(owner);
  return held === -1 ? cost.copy : held === role ? 0 : cost.role;
};

/** Where nothing else decides, neighbours differ, so that a lost owner's load falls on all others. */
const spread = (slot: number, owner: number): number => {
  let h = Math.imul(slot + 1, 0x9e3779b1) ^ Math.imul(owner + 1, 0x85ebca6b);
  h ^= h >>> 15;
  h = Math.imul(h, 0xc2b2ae35);
  return ((h ^ (h >>> 13)) >>> 0) % cost.spread;
};
