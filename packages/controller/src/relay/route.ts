import { addressFromHex, type Change, Endpoint, Service } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { type ParsedKey, parseKey, type WatchBatch, type WatchEvent } from '@megrez/store';
import { applyToMirror, dividersKey, type Mirror, subnetKey } from '../mirror';
import {
  endpointChange,
  endpointDeletion,
  serviceChange,
  serviceDeletion,
  subnetChange,
  tableChange,
  vpcChange,
} from './changes';
import type { DividersContext, HostEvent, HostEvents, SubnetContext } from './events';

/** A host connected to this relay, as far as routing looks at it. */
export interface Listener {
  /** Its snapshot is not complete, so nobody can say yet what it knows. */
  readonly loading: boolean;
  /** Must it know the table, or was it told of it? By subnetKey, 0 for dividers. */
  knows(table: string): boolean;
  knowsVpc(vni: number): boolean;
  /** Does it hold slots of the table? */
  holds(table: string): boolean;
}

interface Parsed {
  readonly event: WatchEvent;
  readonly key: ParsedKey;
}

type EndpointKey = Extract<ParsedKey, { kind: 'endpoint' }>;

/** One endpoint inside one revision: its own key and its by-host keys, which are written in the same txn. */
interface Touched {
  readonly vni: number;
  readonly subnet: number;
  readonly ip: string;
  /** From the endpoint's own key. */
  slot: number | undefined;
  value: WatchEvent | undefined;
  removed: boolean;
  /** By host: its by-host copy, which is what the host itself is to know (while an endpoint moves, they differ). */
  readonly came: Map<string, WatchEvent>;
  readonly left: string[];
}

/**
 * Brings a batch into the mirror and tells, for each connected host, what of it is that host's business. A host is
 * found from keys and the mirrored tables alone: an endpoint's own hosts (two while it moves) and the holders of its slot,
 * nobody else.
 */
export const routeBatch = (
  mirror: Mirror,
  batch: WatchBatch,
  listeners: ReadonlyMap<string, Listener>,
): Map<string, HostEvents[]> => {
  const routed = new Map<string, HostEvents[]>();
  for (const [revision, group] of groups(batch, listeners)) {
    for (const [host, events] of routeGroup(mirror, revision, group, listeners, routed)) {
      const list = routed.get(host);
      if (list === undefined) routed.set(host, [{ revision, events }]);
      else list.push({ revision, events });
    }
  }
  mirror.revision = batch.revision;
  return routed;
};

/** A snapshot is one group: what differs has no order. Otherwise a group is a revision, that is a txn. */
const groups = (batch: WatchBatch, listeners: ReadonlyMap<string, Listener>): [number, Parsed[]][] => {
  const out: [number, Parsed[]][] = [];
  // The very first batch holds every endpoint, and there is nobody yet to tell of it.
  const nobody = listeners.size === 0;
  for (const event of batch.events) {
    const key = parseKey(event.path);
    if (nobody && (key.kind === 'endpoint' || key.kind === 'by-host')) continue;
    const revision = batch.snapshot ? batch.revision : event.revision;
    const last = out.at(-1);
    const parsed = { event, key };
    if (last !== undefined && last[0] === revision) last[1].push(parsed);
    else out.push([revision, [parsed]]);
  }
  return out;
};

const routeGroup = (
  mirror: Mirror,
  revision: number,
  group: readonly Parsed[],
  listeners: ReadonlyMap<string, Listener>,
  earlier: ReadonlyMap<string, unknown>,
): Map<string, HostEvent[]> => {
  // What was routed earlier in the batch is not delivered yet, so nobody can say what its hosts will know by then.
  const maybe = (host: string): boolean => earlier.has(host) || listeners.get(host)?.loading === true;
  const out = new Map<string, HostEvent[]>();
  const add = (host: string, event: HostEvent): void => {
    const list = out.get(host);
    if (list === undefined) out.set(host, [event]);
    else list.push(event);
  };
  const touched = new Map<string, Touched>();
  // Deletions of what endpoints stand on are told after the endpoints' own.
  const last: (() => void)[] = [];
  for (const { event, key } of group) {
    if (key.kind === 'endpoint' || key.kind === 'by-host') {
      touch(touched, event, key);
      continue;
    }
    const before = contextEvents(mirror, event, key, { listeners, maybe, add, last });
    applyToMirror(mirror, event, key);
    before?.();
  }
  for (const endpoint of touched.values()) routeEndpoint(mirror, revision, endpoint, listeners, add);
  for (const tell of last) tell();
  return out;
};

const touch = (
  touched: Map<string, Touched>,
  event: WatchEvent,
  key: EndpointKey | Extract<ParsedKey, { kind: 'by-host' }>,
): void => {
  const id = `${key.vni}/${key.subnet}/${key.ip}`;
  let entry = touched.get(id);
  if (entry === undefined) {
    const { vni, subnet, ip } = key;
    entry = { vni, subnet, ip, slot: undefined, value: undefined, removed: false, came: new Map(), left: [] };
    touched.set(id, entry);
  }
  if (key.kind === 'endpoint') {
    entry.slot = key.slot;
    if (event.value === undefined) entry.removed = true;
    else entry.value = event;
  } else if (event.value === undefined) {
    entry.left.push(key.host);
  } else {
    entry.came.set(key.host, event);
    entry.value ??= event;
  }
};

const routeEndpoint = (
  mirror: Mirror,
  revision: number,
  endpoint: Touched,
  listeners: ReadonlyMap<string, Listener>,
  add: (host: string, event: HostEvent) => void,
): void => {
  const { vni, subnet, ip, value, came, left } = endpoint;
  const key = subnetKey(vni, subnet);
  const slot = endpoint.slot ?? slotOf(vni, addressFromHex(ip));
  const holders = mirror.tables.get(key)?.holders[slot] ?? [];
  const hosts = new Set([...came.keys(), ...left, ...holders].filter((host) => listeners.has(host)));
  if (hosts.size === 0) return;
  const context = subnetContext(mirror, vni, subnet);
  const decode = ({ value: bytes, revision: written }: WatchEvent): Change | undefined =>
    bytes === undefined ? undefined : endpointChange({ value: Endpoint.fromBinary(bytes), revision: written });
  const put = value === undefined || endpoint.removed ? undefined : decode(value);
  for (const host of hosts) {
    const copy = came.get(host);
    const own = copy !== undefined ? 'came' : left.includes(host) ? 'left' : 'no';
    const mine = copy === undefined || sameBytes(copy, value) ? put : decode(copy);
    const change = mine !== undefined && (own === 'came' || holders.includes(host)) ? mine : undefined;
    const deletion = (): Change => endpointDeletion({ vni, subnet, slot, ip, revision }, movedTo(put, host));
    add(host, { kind: 'endpoint', key, ip, change: change ?? deletion(), own, context });
  }
};

const sameBytes = (a: WatchEvent, b: WatchEvent | undefined): boolean =>
  a.value !== undefined && b?.value !== undefined && Buffer.compare(a.value, b.value) === 0;

/** Where an endpoint is that left a host and was not deleted. */
const movedTo = (put: Change | undefined, host: string): Endpoint | undefined => {
  if (put?.object.oneofKind !== 'endpoint') return undefined;
  const { endpoint } = put.object;
  return endpoint.host === host ? undefined : endpoint;
};

export const subnetContext = (mirror: Mirror, vni: number, number: number): SubnetContext | undefined => {
  const key = subnetKey(vni, number);
  const vpc = mirror.vpcsByVni.get(vni);
  const subnet = mirror.subnets.get(key);
  const table = mirror.tables.get(key);
  return vpc && subnet && table ? { vpc, subnet, table, dividers: mirror.tables.get(dividersKey(vni)) } : undefined;
};

export const dividersContext = (mirror: Mirror, vni: number): DividersContext | undefined => {
  const vpc = mirror.vpcsByVni.get(vni);
  const table = mirror.tables.get(dividersKey(vni));
  if (vpc === undefined || table === undefined) return undefined;
  const numbers = [...(mirror.numbersOf.get(vni) ?? [])];
  return { vpc, table, subnets: numbers.flatMap((number) => subnetContext(mirror, vni, number) ?? []) };
};

interface Telling {
  readonly listeners: ReadonlyMap<string, Listener>;
  /** Hosts of which nobody can say what they know: they are told, and take what is their business. */
  readonly maybe: (host: string) => boolean;
  readonly add: (host: string, event: HostEvent) => void;
  readonly last: (() => void)[];
}

/** VPCs, subnets, services and tables: looked at before the mirror takes them in; what is returned is told after that. */
const contextEvents = (
  mirror: Mirror,
  event: WatchEvent,
  key: ParsedKey,
  { listeners, maybe, add, last }: Telling,
): (() => void) | undefined => {
  const { revision } = event;
  const tell = (wants: (listener: Listener, host: string) => boolean, what: HostEvent): void => {
    for (const [host, listener] of listeners) if (maybe(host) || wants(listener, host)) add(host, what);
  };
  if (key.kind === 'vpc') {
    return () => {
      const vpc = mirror.vpcs.get(key.name);
      if (vpc === undefined) return;
      const { vni } = vpc.value;
      tell((listener) => listener.knowsVpc(vni), { kind: 'vpc', vni, change: vpcChange(vpc) });
    };
  }
  if (key.kind === 'subnet') {
    const name = subnetKey(key.vni, key.number);
    const old = mirror.subnets.get(name);
    return () => {
      const subnet = mirror.subnets.get(name) ?? old;
      if (subnet === undefined) return;
      const deleted = event.value === undefined;
      const change = subnetChange({ value: subnet.value, revision }, deleted);
      const say = (): void =>
        tell((listener) => listener.knows(name), { kind: 'subnet', key: name, vni: key.vni, change });
      if (deleted) last.push(say);
      else say();
    };
  }
  if (key.kind === 'service') {
    const change =
      event.value === undefined
        ? serviceDeletion(key.vni, key.subnet, key.name, revision)
        : serviceChange({ value: Service.fromBinary(event.value), revision });
    const name = subnetKey(key.vni, key.subnet);
    // Behind the tables of the same revision: a new one brings nothing but what comes with it.
    last.push(() => {
      const holders = mirror.tables.get(name)?.slotsOf;
      tell((listener, host) => listener.holds(name) || holders?.has(host) === true, {
        kind: 'service',
        key: name,
        change,
      });
    });
    return undefined;
  }
  if (key.kind !== 'slots') return undefined;
  const name = subnetKey(key.vni, key.subnet);
  const old = mirror.tables.get(name);
  return () => {
    const table = mirror.tables.get(name);
    const shown = table ?? old;
    if (shown === undefined) return;
    const change = tableChange({ value: shown.value, revision }, table === undefined);
    const wants = (listener: Listener, host: string): boolean =>
      listener.knows(name) || (old?.listed.has(host) ?? false) || (table?.listed.has(host) ?? false);
    // The subnet of a new table is written in the same txn, perhaps behind the table: look when all is in.
    last.unshift(() => {
      const { vni } = key;
      if (key.subnet === 0) {
        return tell(wants, { kind: 'dividers', vni, change, table, context: dividersContext(mirror, vni) });
      }
      const context = subnetContext(mirror, vni, key.subnet);
      tell(wants, { kind: 'table', key: name, change, table, fresh: old === undefined, context });
    });
  };
};
