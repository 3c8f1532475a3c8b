/**
 * The steps of moving slots (docs/decisions/0009-moving-a-slot.md): each makes the next table out of the one in the
 * store. Pure; whether a step may be taken is for the leader to find out. Each returns the table it was given when it
 * changes nothing.
 */
import { type Slot, type SlotHolder, type SlotOwner, SlotState, type SlotTable } from '@megrez/model';
import { ownersOf, type SlotHost, slotCount } from '@megrez/ring';
import type { Target } from './moves';

/** Underlay address of a host. @throws when the host is unknown: plans name hosts that exist */
export type AddressOf = (host: string) => string;

/** Step 1: the new holders of these slots begin to load. */
export const load = (table: SlotTable, target: Target, slots: ReadonlySet<number>, addressOf: AddressOf): SlotTable =>
  rewrite(table, addressOf, (holders, slot) => {
    if (!slots.has(slot)) return holders;
    const coming = (target[slot] ?? []).filter((host) => !holders.some((holder) => holder.host === host));
    return [...holders, ...coming.map((host) => ({ host, state: SlotState.LOADING }))];
  });

/**
 * Step 3, the epoch being one more: slots whose wanted holders have all loaded (`loaded`) are served by them; who served
 * before is leaving. A holder that is leaving has everything still, and may serve again. `slots` limits it to some.
 */
export const serve = (
  table: SlotTable,
  target: Target,
  loaded: (host: string) => boolean,
  addressOf: AddressOf,
  slots?: ReadonlySet<number>,
): SlotTable => {
  const next = rewrite(table, addressOf, (holders, slot) => {
    if (slots?.has(slot) === false) return holders;
    const wanted = target[slot] ?? [];
    const ready = wanted.every((host) => {
      const state = holders.find((holder) => holder.host === host)?.state;
      return state !== undefined && (state !== SlotState.LOADING || loaded(host));
    });
    if (!ready || wanted.length === 0) return holders;
    const serving = wanted.map((host) => ({ host, state: SlotState.SERVING }));
    const others = holders.filter(({ host, state }) => !wanted.includes(host) && state !== SlotState.LOADING);
    return [...serving, ...others.map(({ host }) => ({ host, state: SlotState.LEAVING }))];
  });
  return next === table ? table : { ...next, epoch: table.epoch + 1 };
};

/** Step 4: who is leaving these slots is gone; the owner itself stays in the list, to pass late questions on. */
export const retire = (table: SlotTable, slots: ReadonlySet<number>): SlotTable =>
  rewrite(table, none, (holders, slot) =>
    slots.has(slot) ? holders.filter(({ state }) => state !== SlotState.LEAVING) : holders,
  );

/** Who loads a slot that it shall not hold stops: nobody asks it yet. */
export const abandon = (table: SlotTable, target: Target): SlotTable =>
  rewrite(table, none, (holders, slot) =>
    holders.filter(({ host, state }) => state !== SlotState.LOADING || target[slot]?.includes(host) === true),
  );

/** Step 5: these owners, which hold nothing, are forgotten. */
export const forget = (table: SlotTable, stubs: ReadonlySet<string>): SlotTable => {
  if (stubs.size === 0) return table;
  const kept = { ...table, owners: table.owners.filter(({ host }) => !stubs.has(host)) };
  const position = new Map(kept.owners.map(({ host }, i) => [host, i]));
  const slots = table.slots.map(
    (_, slot): Slot => ({
      holders: ownersOf(table, slot).map(({ host, state }) => ({ owner: at(position, host), state })),
    }),
  );
  return { ...kept, slots };
};

/** A slot needs at least one that serves: what the steps must never lose. @throws when one has none */
export const check = (before: SlotTable, after: SlotTable): SlotTable => {
  for (let slot = 0; slot < slotCount; slot += 1) {
    const serves = (table: SlotTable): boolean =>
      ownersOf(table, slot).some(({ state }) => state === SlotState.SERVING);
    if (serves(before) && !serves(after))
      throw new RangeError(`slot ${slot} of ${after.vni}/${after.subnet} has no owner`);
  }
  if (after.epoch < before.epoch) throw new RangeError(`the epoch of ${after.vni}/${after.subnet} falls`);
  return after;
};

type Holder = Pick<SlotHost, 'host' | 'state'>;

const none: AddressOf = (host) => {
  throw new RangeError(`${host} is no owner yet`);
};

const rewrite = (
  table: SlotTable,
  addressOf: AddressOf,
  change: (holders: readonly Holder[], slot: number) => readonly Holder[],
): SlotTable => {
  const owners: SlotOwner[] = [...table.owners];
  const position = new Map(owners.map(({ host }, i) => [host, i]));
  let changed = false;
  const slots = table.slots.map((before, slot): Slot => {
    const holders = ownersOf(table, slot);
    const after = change(holders, slot);
    if (same(holders, after)) return before;
    changed = true;
    return {
      holders: after.map(({ host, state }): SlotHolder => {
        if (!position.has(host)) {
          position.set(host, owners.length);
          owners.push({ host, address: addressOf(host) });
        }
        return { owner: at(position, host), state };
      }),
    };
  });
  return changed ? check(table, { ...table, owners, slots }) : table;
};

const same = (a: readonly Holder[], b: readonly Holder[]): boolean =>
  a.length === b.length && a.every(({ host, state }, i) => host === b[i]?.host && state === b[i]?.state);

const at = (position: ReadonlyMap<string, number>, host: string): number => {
  const found = position.get(host);
  if (found === undefined) throw new RangeError(`${host} is no owner`);
  return found;
};
