import { type Code, MegrezError, type SlotTable } from '@megrez/model';
import type { PlaceOptions } from './place';
import { type PlaceHost, preference } from './preference';

/**
 * The owner hosts, by name: the pinned, then (unless rebalancing) present owners, those first that hold most, then the
 * ring's order; among those of one kind a host in the zone with fewest owners so far goes first.
 */
export const choose = (options: PlaceOptions): readonly PlaceHost[] => {
  const { vni, subnet, hosts, table, rebalance = false } = options;
  const eligible = hosts.filter((host) => host.eligible);
  const pinned = pinnedHosts(options);
  const count = ownerCount(options, eligible.length);
  const order = preference(`${vni}/${subnet}`, eligible);
  const byName = new Map(eligible.map((host) => [host.name, host]));
  const held = rebalance ? new Map<string, number>() : holdings(table);

  const owners: PlaceHost[] = [];
  const take = (names: readonly string[]): void => {
    const left = names.map((name) => byName.get(name)).filter((host) => host !== undefined && !owners.includes(host));
    const inZone = (zone: string | undefined): number => owners.filter((owner) => owner.zone === zone).length;
    while (owners.length < count && left.length > 0) {
      const least = Math.min(...left.map((host) => inZone(host?.zone)));
      const next = left.findIndex((host) => inZone(host?.zone) === least);
      owners.push(left.splice(next, 1)[0] as PlaceHost);
    }
  };
  take(pinned);
  take(order.filter((name) => held.has(name)).sort((a, b) => (held.get(b) ?? 0) - (held.get(a) ?? 0)));
  take(order);
  return owners.sort((a, b) => (a.name < b.name ? -1 : 1));
};

/** Slots per owner host; of a new table nobody holds any. */
const holdings = (table: SlotTable | undefined): ReadonlyMap<string, number> => {
  const held = new Map(table?.owners.map(({ host }): [string, number] => [host, 0]));
  for (const { owner } of table?.slots.flatMap(({ holders }) => holders) ?? []) {
    const host = table?.owners[owner]?.host ?? '';
    held.set(host, (held.get(host) ?? 0) + 1);
  }
  return held;
};

const refuse = (options: PlaceOptions, code: Code, reason: string, message: string): MegrezError =>
  new MegrezError({ code, reason, object: options.object ?? `slot table ${options.vni}/${options.subnet}`, message });

const pinnedHosts = (options: PlaceOptions): readonly string[] => {
  const pinned = [...new Set(options.pinned)].sort();
  for (const name of pinned) {
    const host = options.hosts.find((candidate) => candidate.name === name);
    if (host === undefined) {
      throw refuse(options, 'NOT_FOUND', 'HOST_NOT_FOUND', `bouncer host ${name} does not exist`);
    }
    if (!host.eligible) {
      throw refuse(
        options,
        'FAILED_PRECONDITION',
        'HOST_INELIGIBLE',
        `bouncer host ${name} may not own slots now: it is detached or set ineligible`,
      );
    }
  }
  return pinned;
};

const ownerCount = (options: PlaceOptions, eligible: number): number => {
  const pinned = new Set(options.pinned).size;
  const count = options.bouncers || pinned || Math.min(2, eligible);
  if (eligible === 0) {
    throw refuse(
      options,
      'FAILED_PRECONDITION',
      'NO_ELIGIBLE_HOST',
      'no host may own slots: start an agent, or make a host eligible again (megrez host list)',
    );
  }
  if (count > eligible) {
    throw refuse(
      options,
      'FAILED_PRECONDITION',
      'TOO_MANY_BOUNCERS',
      `${count} bouncers need ${count} hosts that may own slots, and there are ${eligible}`,
    );
  }
  if (pinned > count) {
    throw refuse(
      options,
      'INVALID_ARGUMENT',
      'TOO_MANY_BOUNCER_HOSTS',
      `${pinned} bouncer hosts are pinned for ${count} bouncers`,
    );
  }
  return count;
};
