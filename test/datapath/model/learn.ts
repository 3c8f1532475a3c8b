/** What a host learns, for how long it believes it, and whom it asks (design §4, leases and liveness). */
import type { VerdictWord } from '@megrez/abi';
import { slotOf } from '@megrez/ring';
import { sipHash } from '../cookie';
import { type Address, bytesOf, zero } from './bytes';
import { about, type Config, elapsed, longest, type Mapping, type Owners, type Path, type State } from './state';

/** An ask without an answer for longer than this is repeated at the other owner. */
const suspect_ns = 50_000_000;
/** A host unheard for this long is asked for a sign of life, and given as long again. */
const silent_ns = 300_000_000;
/** Between two asks for it, and between two asks of an owner meanwhile. */
export const probe_ns = 100_000_000;
const noticeInterval_ns = 10_000_000;
const servingState = 2;
export const askFlag = { second: 1, twin: 2, answer: 4, service: 8 } as const;

const cookies = new Map<string, bigint>();

/** Of a 2^31 ns window, under the host's secret. */
export const cookieIn = (config: Config, vni: number, ip: Address, window: number): bigint => {
  const key = `${window}/${vni}/${ip}`;
  let cookie = cookies.get(key);
  if (cookie === undefined) {
    const words = bytesOf(ip);
    const word = (at: number): bigint => BigInt(words.readUInt32LE(at));
    cookie = sipHash(
      config.secret,
      [
        (word(0) << 32n) | word(4),
        (word(8) << 32n) | word(12),
        ((BigInt(window) << 24n) | BigInt(vni)) & 0xffff_ffff_ffff_ffffn,
      ],
      undefined,
    );
    if (cookies.size > 100_000) cookies.clear();
    cookies.set(key, cookie);
  }
  return cookie;
};

export const windowOf = (now: number): number => Math.floor(now / 2 ** 31);

/** A cookie is good in its window and the next. */
export const cookieHolds = (config: Config, vni: number, ip: Address, now: number, cookie: bigint): boolean =>
  [0, 1].some((ago) => cookie === cookieIn(config, vni, ip, windowOf(now) - ago));

// ---- hosts

/** Any packet of a host is a sign of life. */
export const heard = (state: State, host: Address, now: number): void => {
  const known = state.hosts.get(host);
  if (known) known.heard_at = now;
  else state.hosts.set(host, { asked_at: 0, heard_at: now, probed_at: 0 });
};

/** The oldest ask since the host was last heard counts; none in the tick of the clock that heard it. */
const hostAsked = (state: State, host: Address, now: number): void => {
  const known = state.hosts.get(host);
  if (!known) state.hosts.set(host, { asked_at: now, heard_at: 0, probed_at: 0 });
  else if (known.asked_at <= known.heard_at && now > known.heard_at) known.asked_at = now;
};

const isSuspect = (state: State, host: Address, now: number): boolean => {
  const known = state.hosts.get(host);
  return known !== undefined && known.asked_at > known.heard_at && elapsed(known.asked_at, now) > suspect_ns;
};

/** Whether a suspect may be probed now; then it counts as probed. */
export const probeDue = (state: State, host: Address, now: number): boolean => {
  const known = state.hosts.get(host);
  if (!known || elapsed(known.probed_at, now) < probe_ns) return false;
  known.probed_at = now;
  return true;
};

/** Of the host a path leads to: 'ask' it with this packet, or an owner because it stays 'silent'. */
export const lifeOf = (state: State, host: Address, now: number): 'alive' | 'waiting' | 'ask' | 'silent' => {
  const known = state.hosts.get(host);
  if (!known) {
    heard(state, host, now);
    return 'alive';
  }
  if (elapsed(known.heard_at, now) < silent_ns) return 'alive';
  if (known.asked_at <= known.heard_at) {
    known.asked_at = now;
    known.probed_at = now;
    return 'ask';
  }
  if (elapsed(known.asked_at, now) >= silent_ns) return 'silent';
  return probeDue(state, host, now) ? 'ask' : 'waiting';
};

// ---- paths

const newPath = (vni: number, ip: Address, now: number, fields: Partial<Path>): Path => ({
  vni,
  ip,
  state: 'asked',
  host: zero,
  asked: zero,
  generation: 0n,
  told_at: now,
  asked_at: now,
  checked_at: now,
  live_at: now,
  mac: Buffer.alloc(6),
  asks: 0,
  ...fields,
});

export const pathTo = (state: State, vni: number, ip: Address): Path | undefined => state.paths.get(about(vni, ip));

/** May the path be used, or is it over? */
export const isBelieved = (config: Config, path: Path | undefined, now: number): path is Path =>
  path?.state === 'told' && elapsed(path.told_at, now) < config.hard_lease_ns;
export const isDenied = (config: Config, path: Path | undefined, now: number): boolean =>
  path?.state === 'none' && elapsed(path.told_at, now) < config.negative_ns;

/** Whoever was asked passed the question on, or there would be no answer. */
const ownerAnswered = (state: State, path: Path | undefined, now: number): void => {
  if (path && path.asks > 0 && path.asked !== zero) heard(state, path.asked, now);
};

/**
 * An answer comes in. A lower generation never replaces a higher one within its lease, forgotten or not. `checked`: it
 * is a bouncer's, so the next check is a whole period away. `service`: the address is a service. `byOwner`: the owner that
 * was asked gave it, or passed the question on; else that owner still owes its answer.
 */
export const told = (
  state: State,
  config: Config,
  vni: number,
  ip: Address,
  answer: Mapping,
  { checked = false, service = false, byOwner = false }: { checked?: boolean; service?: boolean; byOwner?: boolean },
  now: number,
): VerdictWord | undefined => {
  const old = pathTo(state, vni, ip);
  // It answered, even if it knew less than this host.
  if (byOwner) ownerAnswered(state, old, now);
  if (old && old.generation > answer.generation && elapsed(old.told_at, now) < config.hard_lease_ns) return 'stale';
  state.paths.set(
    about(vni, ip),
    newPath(vni, ip, now, {
      ...(old && !byOwner && { asked: old.asked, asks: old.asks }),
      state: service ? 'service' : 'told',
      host: answer.host,
      generation: answer.generation,
      mac: Buffer.from(answer.mac),
      ...(!checked && old?.state === 'told' && { checked_at: old.checked_at }),
    }),
  );
  return undefined;
};

/** "There is no such address" counts only where the question is still open. */
export const denied = (state: State, vni: number, ip: Address, now: number): VerdictWord | undefined => {
  const old = pathTo(state, vni, ip);
  if ((old?.state === 'told' || old?.state === 'service') && old.asks === 0) return 'stale';
  ownerAnswered(state, old, now);
  state.paths.set(about(vni, ip), newPath(vni, ip, now, { state: 'none' }));
  return undefined;
};

/** A bouncer gave a flow its backend: the address is a service. */
export const isService = (state: State, vni: number, ip: Address, now: number): void => {
  const path = pathTo(state, vni, ip);
  if (!path) {
    state.paths.set(about(vni, ip), newPath(vni, ip, now, { state: 'service' }));
    return;
  }
  ownerAnswered(state, path, now);
  path.state = 'service';
  path.told_at = now;
  path.asks = 0;
};

/** The path's own host says that the endpoint left: the path is forgotten, its generation is not. */
export const forget = (state: State, vni: number, ip: Address, host: Address): VerdictWord => {
  const path = pathTo(state, vni, ip);
  if (path?.state !== 'told' || path.host !== host) return 'stale';
  path.state = 'asked';
  path.asks = 0;
  return 'told_gone';
};

/** Notes that an owner is asked; how many asks in a row, this one included, have had no answer. */
const noteAsk = (state: State, vni: number, ip: Address, now: number): number => {
  const path = pathTo(state, vni, ip);
  if (!path) {
    state.paths.set(about(vni, ip), newPath(vni, ip, now, { asks: 1 }));
    return 1;
  }
  path.checked_at = now;
  if (path.asks === 0 || elapsed(path.asked_at, now) > suspect_ns) {
    path.asked_at = now;
    // One byte that goes on alternating once it is full.
    path.asks = path.asks < 255 ? path.asks + 1 : 254;
  }
  return path.asks;
};

// ---- owners

/** Generic cell rate algorithm: due one interval apart, with a burst's tolerance. When the next is due; or not now. */
const nextDue = (due: number, now: number, interval_ns: number, burst_ns: number): number | undefined =>
  due > now + burst_ns ? undefined : Math.max(due, now) + interval_ns;

export const spend = (state: State, config: Config, ifindex: number, now: number): boolean => {
  const budget = state.budgets.get(ifindex);
  const due = budget && nextDue(budget.due, now, config.ask_interval_ns, config.ask_burst_ns);
  if (!budget || due === undefined) return false;
  budget.due = due;
  return true;
};

/** An endpoint is told of errors a hundred times a second, and 20 times at once. */
export const spendError = (state: State, ifindex: number, now: number): boolean => {
  const budget = state.budgets.get(ifindex);
  const due = budget && nextDue(budget.error_due, now, 10_000_000, 200_000_000);
  if (!budget || due === undefined) return false;
  budget.error_due = due;
  return true;
};

/** The subnet of an address of the VPC, as far as this host knows. */
export const routeOf = (state: State, vni: number, ip: Address): number | undefined => longest(state.routes, vni, ip);

const keyOf = (vni: number, subnet: number, slot: number): string => `${vni}/${subnet}/${slot}`;
const slotKey = (vni: number, subnet: number, ip: Address): string => keyOf(vni, subnet, slotOf(vni, bytesOf(ip)));

export const ownersOf = (state: State, vni: number, subnet: number, ip: Address): Owners | undefined =>
  state.slots.get(slotKey(vni, subnet, ip));

export const isHolder = (state: State, vni: number, subnet: number, ip: Address): boolean =>
  state.holdings.has(slotKey(vni, subnet, ip));

/** Only a serving, attached holder may call an address unknown. */
export const mayDeny = (state: State, vni: number, subnet: number, ip: Address, now: number): boolean =>
  state.holdings.get(slotKey(vni, subnet, ip))?.state === servingState && now < state.attached;

export interface Ask {
  readonly to: Address;
  /** An owner that owes an answer: to be probed. */
  readonly suspect?: Address;
  readonly subnet: number;
  readonly epoch: number;
  readonly flags: number;
}

/** One owner; the other one when the first is this host itself, or suspect. */
const choose = (
  state: State,
  config: Config,
  owners: Owners,
  twin: boolean,
  now: number,
): Pick<Ask, 'to' | 'suspect'> => {
  const others = (twin ? [owners.secondary, owners.primary] : [owners.primary, owners.secondary]).filter(
    (owner) => owner !== zero && owner !== config.self,
  );
  const [first = zero, second] = others;
  return second !== undefined && isSuspect(state, first, now) ? { to: second, suspect: first } : { to: first };
};

/**
 * Where to ask for `ip`, of the own subnet or, `routed`, of another one; `spread`: for a backend of the service that it
 * is, which any bouncer of its subnet gives. 'known': this host holds the answer, which is a path now. 'served': it is a
 * bouncer of the service itself.
 */
export const whomToAsk = (
  state: State,
  config: Config,
  { vni, subnet: own, ip, ifindex, routed, spread }: Wanted,
  now: number,
): Ask | VerdictWord | 'known' | 'served' => {
  const mapping = state.mappings.get(about(vni, ip));
  const path = pathTo(state, vni, ip);
  // A path that its host called gone was this row's own word: the other owner may know better.
  const isDoubtful = mapping && path?.state === 'asked' && path.generation >= mapping.generation;
  if (mapping && !isDoubtful)
    return told(state, config, vni, ip, mapping, { checked: true, byOwner: true }, now) ?? 'known';
  if (state.services.has(about(vni, ip))) return 'served';
  // The table that knows most: of the address's subnet, or else of the VPC's dividers.
  const route = routed ? routeOf(state, vni, ip) : own;
  const slot = slotOf(vni, bytesOf(ip));
  // Any bouncer knows a service; one that does not knows that it is gone.
  const service = state.holdings.has(keyOf(vni, route ?? 0, slot)) ? undefined : spread;
  const bouncersKey = keyOf(vni, route ?? 0, service === undefined ? slot : service % 256);
  const bouncers = route === undefined ? undefined : state.slots.get(bouncersKey);
  const key = bouncers || !routed ? bouncersKey : keyOf(vni, 0, slot);
  const owners = bouncers ?? (routed ? state.slots.get(key) : undefined);
  if (!owners) return 'no_owner';
  // A divider that knows the address's subnet does not deny it, whatever it lacks, nor does anybody a service.
  const isFinal = service === undefined && !mapping && (bouncers !== undefined || route === undefined);
  if (isFinal && state.holdings.get(key)?.state === servingState && now < state.attached) return 'unknown_address';
  // Before anything is remembered: a scan must not push out the paths of others.
  if (!spend(state, config, ifindex, now)) return 'ask_budget';
  // Every second unanswered ask goes to the other owner.
  const twin = noteAsk(state, vni, ip, now) % 2 === 0;
  const chosen = choose(state, config, owners, twin, now);
  if (chosen.to === zero) return 'no_owner';
  const noted = pathTo(state, vni, ip);
  if (noted) noted.asked = chosen.to;
  hostAsked(state, chosen.to, now);
  const flags = (twin ? askFlag.twin : 0) | (service === undefined ? 0 : askFlag.service);
  return { ...chosen, subnet: bouncers || !routed ? (route ?? 0) : 0, epoch: owners.epoch, flags };
};

export interface Wanted {
  readonly vni: number;
  readonly subnet: number;
  readonly ip: Address;
  readonly ifindex: number;
  readonly routed: boolean;
  readonly spread: number | undefined;
}

/** At most one notice per asker and address in 10 ms. */
export const noticeDue = (state: State, asker: Address, vni: number, ip: Address, now: number): boolean => {
  const key = `${asker}/${about(vni, ip)}`;
  const last = state.notices.get(key);
  if (last !== undefined && elapsed(last, now) < noticeInterval_ns) return false;
  state.notices.set(key, now);
  return true;
};
