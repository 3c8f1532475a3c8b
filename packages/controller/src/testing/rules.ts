/** The rules by which hosts are told, stated once more, for specs that compare; and random numbers that can be repeated. */
import type { Endpoint, SlotTable, Subnet, Vpc } from '@megrez/model';

/** Seeded, so that a failure can be repeated: mulberry32. */
export const random = (seed: number): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
};

export interface Written<T> {
  readonly value: T;
  readonly revision: number;
}

/** What is stored, as the store would have it. */
export const emptyWorld = () => ({
  vpcs: new Map<number, Written<Vpc>>(),
  subnets: new Map<string, Written<Subnet>>(),
  tables: new Map<string, Written<SlotTable>>(),
  /** By `<vni>/<subnet>/<ip>`. */
  endpoints: new Map<string, Written<Endpoint>>(),
});
export type World = ReturnType<typeof emptyWorld>;

/** What one host was told, by name of the object; the value is its generation. */
export type Told = Map<string, number>;

export const placesOf = ({ host, movingTo, movedFrom }: Endpoint): string[] =>
  [host, movingTo, movedFrom].filter(Boolean);
const holdersOf = (table: SlotTable | undefined, slot: number): string[] =>
  (table?.slots[slot]?.holders ?? []).map(({ owner }) => table?.owners[owner]?.host ?? '');
const holdsAny = (table: SlotTable | undefined, host: string): boolean =>
  (table?.slots ?? []).some((_, slot) => holdersOf(table, slot).includes(host));

/** The rules, one after the other, for one host. */
export const mustKnow = (world: World, host: string): Told => {
  const told: Told = new Map();
  for (const [key, { value, revision }] of world.endpoints) {
    const table = world.tables.get(`${value.vni}/${value.subnetNumber}`)?.value;
    if (placesOf(value).includes(host) || holdersOf(table, value.slot).includes(host)) {
      told.set(`endpoint ${key}`, revision);
    }
  }
  for (const [vni, vpc] of world.vpcs) {
    const dividers = world.tables.get(`${vni}/0`);
    const own = [...world.endpoints.values()].filter(
      ({ value }) => value.vni === vni && placesOf(value).includes(host),
    );
    const divides = holdsAny(dividers?.value, host);
    const listed = (table: SlotTable | undefined): boolean =>
      (table?.owners ?? []).some((owner) => owner.host === host);
    let any = false;
    for (const [key, subnet] of world.subnets) {
      const { number } = subnet.value;
      const table = world.tables.get(key);
      if (subnet.value.vni !== vni || table === undefined) continue;
      const here = own.some(({ value }) => value.subnetNumber === number);
      if (!here && !divides && !listed(table.value)) continue;
      any = true;
      told.set(`subnet ${vni}/${number}`, subnet.revision).set(`table ${vni}/${number}`, table.revision);
    }
    if (dividers !== undefined && (own.length > 0 || listed(dividers.value))) {
      any = true;
      told.set(`table ${vni}/0`, dividers.revision);
    }
    if (any) told.set(`vpc ${vni}`, vpc.revision);
  }
  return told;
};
