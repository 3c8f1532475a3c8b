import type { SlotTable } from '@megrez/model';
import { type PlaceOptions, place } from './place';
import type { PlaceHost } from './preference';

/** A table as it is, and what is wished of it. */
export type FleetTable = Pick<PlaceOptions, 'vni' | 'subnet' | 'object' | 'bouncers' | 'pinned'> & {
  readonly table: SlotTable;
  /** It counts for its owners' load, but stays as it is. */
  readonly fixed?: boolean;
};

/** Hosts within this of what their weight entitles them to are left alone. */
const tolerance = 0.1;

/**
 * The tables as a rebalance of the fleet makes them, in their order. First each for itself, with the fewest moves
 * (`place`); then owners of whole tables are exchanged, each time from a host that has too much for its weight to one that
 * has too little, until every host is within a tenth of its share, or no exchange makes anything better: a table's part
 * is the smallest piece that there is.
 *
 * Pure: the same input gives the same tables.
 * @throws MegrezError as `place` does
 */
export const placeFleet = (hosts: readonly PlaceHost[], tables: readonly FleetTable[]): readonly SlotTable[] => {
  const first = tables.map((table) => (table.fixed === true ? table.table : place({ ...table, hosts })));
  const owners = exchange(hosts, tables, first);
  return tables.map((table, i) => {
    const placed = first[i] as SlotTable;
    const chosen = owners[i] as readonly string[];
    if (chosen.every((host) => placed.owners.some((owner) => owner.host === host))) return placed;
    return place({ ...table, hosts, bouncers: chosen.length, pinned: chosen });
  });
};

/** Slots, in both roles, of one owner of a table. */
const part = (owners: number): number => (owners < 2 ? 256 : 512 / owners);

interface Seat {
  readonly host: PlaceHost;
  /** What its weight entitles it to. */
  readonly share: number;
  load: number;
  /** Positions of the tables that it owns a part of. */
  readonly tables: Set<number>;
}

const exchange = (
  hosts: readonly PlaceHost[],
  tables: readonly FleetTable[],
  placed: readonly SlotTable[],
): readonly (readonly string[])[] => {
  const owners = placed.map((table) => table.owners.map(({ host }) => host));
  const eligible = hosts.filter((host) => host.eligible).sort((a, b) => (a.name < b.name ? -1 : 1));
  const weightOf = (host: PlaceHost): number => host.weight || 100;
  const weights = eligible.reduce((sum, host) => sum + weightOf(host), 0);
  const total = owners.reduce((sum, names) => sum + names.length * part(names.length), 0);
  const seats = new Map<string, Seat>(
    eligible.map((host) => [
      host.name,
      { host, share: (total * weightOf(host)) / weights, load: 0, tables: new Set() },
    ]),
  );
  owners.forEach((names, i) => {
    for (const name of names) {
      const seat = seats.get(name);
      if (seat === undefined) continue;
      seat.load += part(names.length);
      seat.tables.add(i);
    }
  });
  const zones = new Map(hosts.map(({ name, zone }) => [name, zone]));
  const ordered = [...seats.values()];
  const ratio = ({ load, share }: Seat): number => load / share;
  for (;;) {
    ordered.sort((a, b) => ratio(b) - ratio(a) || (a.host.name < b.host.name ? -1 : 1));
    const best = firstExchange(ordered);
    if (best === undefined) return owners;
    const { from, to, table } = best;
    const names = owners[table] as string[];
    names[names.indexOf(from.host.name)] = to.host.name;
    from.tables.delete(table);
    to.tables.add(table);
    from.load -= part(names.length);
    to.load += part(names.length);
  }

  /** From the fullest to the emptiest, while one of the two is out of bounds. */
  function firstExchange(fullest: readonly Seat[]): { from: Seat; to: Seat; table: number } | undefined {
    for (const from of fullest) {
      const over = ratio(from) > 1 + tolerance;
      for (let i = fullest.length - 1; i >= 0; i -= 1) {
        const to = fullest[i] as Seat;
        if (ratio(to) >= ratio(from)) break;
        if (!over && ratio(to) >= 1 - tolerance) break;
        const table = largestPart(from, to);
        if (table !== undefined) return { from, to, table };
      }
      if (ratio(from) <= 1) return undefined;
    }
    return undefined;
  }

  /** The table whose part helps most when it changes hands; undefined when none helps. */
  function largestPart(from: Seat, to: Seat): number | undefined {
    let best: number | undefined;
    let most = 0;
    for (const table of from.tables) {
      const names = owners[table] as readonly string[];
      const { pinned, fixed = false } = tables[table] as FleetTable;
      if (fixed || names.includes(to.host.name) || pinned.includes(from.host.name)) continue;
      if (crowds(names, from.host, to.host)) continue;
      const gain = improvement(from, to, part(names.length));
      if (gain <= most) continue;
      best = table;
      most = gain;
    }
    return best;
  }

  /** The new owner's zone has another owner already, and the old one's has not. */
  function crowds(names: readonly string[], from: PlaceHost, to: PlaceHost): boolean {
    if (to.zone === '') return false;
    const others = names.filter((name) => name !== from.name).map((name) => zones.get(name));
    return others.includes(to.zone) && (from.zone === '' || !others.includes(from.zone));
  }
};

/** By how much the sum of load²/share falls: it falls with every exchange, so that they come to an end. */
const improvement = (from: Seat, to: Seat, size: number): number => {
  const before = from.load ** 2 / from.share + to.load ** 2 / to.share;
  const after = (from.load - size) ** 2 / from.share + (to.load + size) ** 2 / to.share;
  // Less than this is rounding, not balance.
  return before - after > 1e-6 * before ? before - after : 0;
};
