import type { SlotState, SlotTable } from '@megrez/model';

export interface SlotHost {
  readonly host: string;
  /** Underlay address. */
  readonly address: string;
  readonly state: SlotState;
}

/** The hosts that hold a slot (0-255), primary first. */
export const ownersOf = (table: SlotTable, slot: number): readonly SlotHost[] => {
  const holders = table.slots[slot]?.holders;
  if (holders === undefined) throw new RangeError(`slot ${slot} is not in a table of ${table.slots.length}`);
  return holders.map(({ owner, state }) => {
    const { host, address } = table.owners[owner] ?? fail(table, owner);
    return { host, address, state };
  });
};

const fail = (table: SlotTable, owner: number): never => {
  throw new RangeError(`slot table ${table.vni}/${table.subnet} names owner ${owner} of ${table.owners.length}`);
};
