import { SlotState, type SlotTable } from '@megrez/model';
import { ownersOf } from '@megrez/ring';

/** By slot: the hosts that shall hold it, primary first. */
export type Target = readonly (readonly string[])[];

/** One slot on its way from a holder to another one; '' where it only gets one more, or only loses one. */
export interface Move {
  readonly slot: number;
  readonly from: string;
  readonly to: string;
  /** UNSPECIFIED: not begun. LOADING: `to` loads. LEAVING: `to` serves, `from` is not gone yet. */
  readonly state: SlotState;
}

/** A table that nobody plans to change: its slots stay where they serve. */
export const restingTarget = (table: SlotTable): Target =>
  table.slots.map((_, slot) => hostsIn(table, slot, SlotState.SERVING));

/** What is not yet as it shall be. Changes of roles alone are no moves. */
export const movesOf = (table: SlotTable, target: Target): readonly Move[] =>
  table.slots.flatMap((_, slot) => {
    const wanted = target[slot] ?? [];
    const holders = ownersOf(table, slot);
    const stateOf = new Map(holders.map(({ host, state }) => [host, state]));
    const lost = holders.filter(({ host }) => !wanted.includes(host));
    const arrived = wanted.filter((host) => stateOf.get(host) === SlotState.SERVING);
    const coming = wanted.filter((host) => !arrived.includes(host));
    // Who leaves already belongs to somebody who has arrived.
    const leaving = lost.filter(({ state }) => state === SlotState.LEAVING).map(({ host }) => host);
    const staying = lost.filter(({ state }) => state === SlotState.SERVING).map(({ host }) => host);
    const moves: Move[] = leaving.map((from) => {
      const to = arrived.find((host) => host !== from) ?? '';
      return { slot, from, to, state: SlotState.LEAVING };
    });
    for (let i = 0; i < Math.max(coming.length, staying.length); i += 1) {
      const to = coming[i] ?? '';
      const state = stateOf.get(to) === SlotState.LOADING ? SlotState.LOADING : SlotState.UNSPECIFIED;
      moves.push({ slot, from: staying[i] ?? '', to, state });
    }
    return moves;
  });

/** The table is as it shall be, roles included, and nothing is on its way. */
export const isSettled = (table: SlotTable, target: Target): boolean =>
  table.slots.every((_, slot) => {
    const wanted = target[slot] ?? [];
    const holders = ownersOf(table, slot);
    return (
      holders.length === wanted.length &&
      holders.every(({ host, state }, i) => host === wanted[i] && state === SlotState.SERVING)
    );
  });

const hostsIn = (table: SlotTable, slot: number, state: SlotState): readonly string[] =>
  ownersOf(table, slot)
    .filter((holder) => holder.state === state)
    .map(({ host }) => host);

/** The hosts that load slots of the table. */
export const loadingHosts = (table: SlotTable): readonly string[] => hostsWith(table, SlotState.LOADING);
export const leavingHosts = (table: SlotTable): readonly string[] => hostsWith(table, SlotState.LEAVING);

const hostsWith = (table: SlotTable, state: SlotState): readonly string[] => {
  const owners = new Set(
    table.slots.flatMap(({ holders }) => holders.filter((holder) => holder.state === state)).map(({ owner }) => owner),
  );
  return [...owners].map((owner) => table.owners[owner]?.host ?? '');
};

/** Owners that hold nothing any more; they pass late questions on. */
export const stubsOf = (table: SlotTable): readonly string[] => {
  const used = new Set(table.slots.flatMap(({ holders }) => holders.map(({ owner }) => owner)));
  return table.owners.filter((_, owner) => !used.has(owner)).map(({ host }) => host);
};
