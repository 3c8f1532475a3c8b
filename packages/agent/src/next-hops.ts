import {
  deleteNeighbour,
  getLink,
  getNeighbour,
  type NeighbourEvent,
  routeGet,
  setNeighbour,
  watchNeighbours,
} from '@megrez/kernel';
import { parseAddress, parseMac } from '@megrez/model';
import { row, rowKey } from '@megrez/plan';
import type { Logger } from 'pino';
import { isKernelError } from './failure';
import type { Rows } from './rows';

/** Rules and link addresses change without telling: everything is looked up again this often. */
const recheck_ms = 5_000;

/**
 * The link-layer next hops to the hosts that this host asks. ARP and XDP cannot resolve them; the kernel does it for
 * entries it is told to manage, and their rows follow its table.
 */
export interface NextHops {
  /** Exactly these hosts from now on. */
  want(addresses: ReadonlySet<string>): void;
  /** Resolves when these have their rows, or after the time; each is waited for once. */
  settled(addresses: Iterable<string>, timeout_ms: number): Promise<void>;
  /** Hosts whose next hop is not known, sorted. */
  unresolved(): readonly string[];
  /** Routes changed. */
  lookAgain(): void;
  close(): void;
}

interface Hop {
  /** Undefined while there is no route. */
  ifindex: number | undefined;
  /** Whose link address it is: a gateway's, or the host's own. */
  neighbour: string;
  resolved: boolean;
  /** Somebody waited: a host that is down must not hold up every table that names it. */
  waited: boolean;
}

const neighbourId = (ifindex: number | undefined, ip: string): string => `${ifindex ?? 0} ${ip}`;

export const openNextHops = (rows: Rows, log: Logger): NextHops => {
  const hops = new Map<string, Hop>();
  const sources = new Map<number, Uint8Array>();
  const waiters = new Map<Hop, () => void>();
  /** Neighbours that the kernel manages because we said so. */
  const managed = new Map<string, { readonly ifindex: number; readonly ip: string }>();

  const sourceOf = async (ifindex: number): Promise<Uint8Array> => {
    const known = sources.get(ifindex);
    if (known !== undefined) return known;
    const link = await getLink({ ifindex });
    const mac = link?.mac === undefined ? new Uint8Array(6) : parseMac(link.mac);
    sources.set(ifindex, mac);
    return mac;
  };

  const wake = (hop: Hop): void => {
    waiters.get(hop)?.();
    waiters.delete(hop);
  };

  const resolved = async (address: string, hop: Hop, mac: string): Promise<void> => {
    const { ifindex } = hop;
    if (ifindex === undefined) return;
    const source = await sourceOf(ifindex);
    if (hops.get(address) !== hop) return;
    rows.put(row('next_hops', { host: parseAddress(address) }, { ifindex, destination: parseMac(mac), source }));
    hop.resolved = true;
    wake(hop);
  };

  /** Finds the way to a host and has the kernel keep its neighbour. */
  const find = async (address: string, hop: Hop): Promise<void> => {
    const route = await routeGet(address);
    const neighbour = route.gateway ?? address;
    hop.ifindex = route.ifindex;
    hop.neighbour = neighbour;
    const known = await getNeighbour({ ifindex: route.ifindex, ip: neighbour });
    if (known?.state !== 'permanent' && !known?.managed) {
      await setNeighbour({ ifindex: route.ifindex, ip: neighbour, managed: true });
      managed.set(neighbourId(route.ifindex, neighbour), { ifindex: route.ifindex, ip: neighbour });
    }
    if (hops.get(address) !== hop) return release();
    const now = known?.mac === undefined ? await getNeighbour({ ifindex: route.ifindex, ip: neighbour }) : known;
    if (now?.mac !== undefined) await resolved(address, hop, now.mac);
  };

  /** Lets the kernel forget the neighbours that no host is reached by any more. */
  const release = (): void => {
    const used = new Set([...hops.values()].map((hop) => neighbourId(hop.ifindex, hop.neighbour)));
    for (const [id, neighbour] of managed) {
      if (used.has(id)) continue;
      managed.delete(id);
      deleteNeighbour(neighbour).catch((error: unknown) => log.warn({ error, ...neighbour }, 'neighbour stays'));
    }
  };

  const look = async (address: string, hop: Hop): Promise<void> => {
    const before = neighbourId(hop.ifindex, hop.neighbour);
    try {
      await find(address, hop);
    } catch (error) {
      if (!isKernelError(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'EACCES')) {
        log.warn({ error, host: address }, 'no next hop');
        return;
      }
      // No way there any more.
      if (hops.get(address) !== hop) return;
      hop.ifindex = undefined;
      hop.resolved = false;
      rows.remove(rowKey('next_hops', { host: parseAddress(address) }));
    }
    if (before !== neighbourId(hop.ifindex, hop.neighbour)) release();
  };
  const lookAgain = (): void => {
    sources.clear();
    for (const [address, hop] of hops) void look(address, hop);
  };

  const onNeighbour = (event: NeighbourEvent): void => {
    if (event.event === 'overrun') {
      lookAgain();
      return;
    }
    for (const [address, hop] of hops) {
      if (hop.ifindex !== event.ifindex || hop.neighbour !== event.ip) continue;
      if (event.event === 'deleted') void look(address, hop);
      else if (event.mac !== undefined)
        resolved(address, hop, event.mac).catch((error: unknown) => log.warn({ error }, 'next hop'));
    }
  };
  const watch = watchNeighbours(onNeighbour);
  const timer = setInterval(lookAgain, recheck_ms);

  return {
    want: (addresses) => {
      for (const [address, hop] of hops) {
        if (addresses.has(address)) continue;
        hops.delete(address);
        wake(hop);
        rows.remove(rowKey('next_hops', { host: parseAddress(address) }));
      }
      release();
      for (const address of addresses) {
        if (hops.has(address)) continue;
        const hop: Hop = { ifindex: undefined, neighbour: address, resolved: false, waited: false };
        hops.set(address, hop);
        void look(address, hop);
      }
    },
    settled: async (addresses, timeout_ms) => {
      const pending = [...addresses]
        .flatMap((address) => hops.get(address) ?? [])
        .filter(({ resolved, waited }) => !resolved && !waited);
      if (pending.length === 0) return;
      for (const hop of pending) hop.waited = true;
      const all = Promise.all(pending.map((hop) => new Promise<void>((resolve) => waiters.set(hop, resolve))));
      const timeout = setTimeout(() => pending.forEach(wake), timeout_ms);
      await all;
      clearTimeout(timeout);
    },
    unresolved: () => [...hops].flatMap(([address, hop]) => (hop.resolved ? [] : [address])).sort(),
    lookAgain,
    close: () => {
      clearInterval(timer);
      watch.close();
      [...hops.values()].forEach(wake);
      hops.clear();
    },
  };
};
