import { HoldingState } from '@megrez/abi';
import { type Address, parseAddress, SlotState, type SlotTable } from '@megrez/model';
import { ownersOf, type SlotHost, slotCount } from '@megrez/ring';
import { type Row, type RowKey, row, rowKey } from './row';

const nobody: Address = new Uint8Array(16);

const holdingStates = {
  [SlotState.LOADING]: HoldingState.loading,
  [SlotState.SERVING]: HoldingState.serving,
  [SlotState.LEAVING]: HoldingState.leaving,
} as const;

const slots = Array.from({ length: slotCount }, (_, slot) => slot);

/**
 * Who is asked about a slot, and which slots this host holds. A loading owner is not asked: it would have to pass every
 * miss on. A leaving one is asked when nobody else is left.
 */
export const planTable = (table: SlotTable, host: string): readonly Row[] =>
  slots.flatMap((slot) => {
    const key = { vni: table.vni, subnet: table.subnet, slot };
    const { epoch, generation } = table;
    const holders = ownersOf(table, slot);
    const asked = [...inState(holders, SlotState.SERVING), ...inState(holders, SlotState.LEAVING)];
    const [primary = nobody, secondary = nobody] = asked.slice(0, 2).map(({ address }) => parseAddress(address));
    const owners = row('slots', key, { primary, secondary, epoch, generation });
    const state = holdingOf(holders, host);
    return state === undefined ? [owners] : [owners, row('holdings', key, { state, epoch, generation })];
  });

const inState = (holders: readonly SlotHost[], state: SlotState): readonly SlotHost[] =>
  holders.filter((holder) => holder.state === state);

const holdingOf = (holders: readonly SlotHost[], host: string): HoldingState | undefined => {
  const state = holders.find((holder) => holder.host === host)?.state;
  return state === undefined || state === SlotState.UNSPECIFIED ? undefined : holdingStates[state];
};

/** By slot: 1 where this host holds it. */
export const slotsHeld = (table: SlotTable, host: string): Uint8Array =>
  Uint8Array.from(slots, (slot) => (holdingOf(ownersOf(table, slot), host) === undefined ? 0 : 1));

/** Underlay addresses of the hosts that the table's rows name, sorted. */
export const ownerAddresses = (table: SlotTable): readonly string[] => {
  const used = new Set(slots.flatMap((slot) => ownersOf(table, slot).map(({ address }) => address)));
  return [...used].sort();
};

/** Every row that a table may have. */
export const tableKeys = (vni: number, subnet: number): readonly RowKey[] =>
  slots.flatMap((slot) => [rowKey('slots', { vni, subnet, slot }), rowKey('holdings', { vni, subnet, slot })]);
