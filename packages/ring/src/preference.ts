import HashRing from 'hashring';

export interface PlaceHost {
  readonly name: string;
  /** Underlay address, as text. */
  readonly address: string;
  /** Capacity weight; 0 stands for 100. */
  readonly weight: number;
  /** Empty: no zone is known. */
  readonly zone: string;
  /** May own slots: it is attached and not set aside by its operator. */
  readonly eligible: boolean;
}

const defaultWeight = 100;
/** Four points each on the ring for a host of default weight. */
const virtualNodes = 40;

let last: { readonly signature: string; readonly ring: HashRing } | undefined;

/**
 * The host names in the order in which `key` prefers them: a consistent hash ring, points in proportion to weight.
 * Independent of the order of `hosts`; another host changes the order of the rest nowhere.
 */
export const preference = (key: string, hosts: readonly PlaceHost[]): readonly string[] => {
  const names = hosts.map((host) => host.name).sort();
  if (names.length === 0) return [];
  const preferred = ringOf(hosts).range(key, names.length, true);
  // range() leaves out a host only if all its points collide with others'.
  return [...preferred, ...names.filter((name) => !preferred.includes(name))];
};

/** One ring serves all subnets of a fleet, and building it costs a digest per virtual node: the last one is kept. */
const ringOf = (hosts: readonly PlaceHost[]): HashRing => {
  const points = Object.fromEntries(
    hosts
      .map(
        (host) => [host.name, Math.max(1, Math.round((virtualNodes * (host.weight || defaultWeight)) / 100))] as const,
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const signature = JSON.stringify(points);
  if (last?.signature !== signature) {
    const servers = Object.fromEntries(Object.entries(points).map(([name, vnodes]) => [name, { vnodes }]));
    // With a count that no host has, `vnodes` are taken as they are and never scaled by the total of all weights.
    last = { signature, ring: new HashRing(servers, 'md5', { 'vnode count': -1 }) };
  }
  return last.ring;
};
