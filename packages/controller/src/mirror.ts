import { Endpoint, HeldAddress, Host, RelayRecord, SessionRecord, SlotTable, Subnet, Vpc } from '@megrez/model';
import { type ParsedKey, parseKey, type WatchEvent } from '@megrez/store';
import { type Signal, signal } from './support/signal';

/** A stored object as the watch last told it; `revision` is its mod_revision. */
export interface Stored<T> {
  readonly value: T;
  readonly revision: number;
}

/** A slot table with the two questions that routing asks answered beforehand. */
export interface TableView extends Stored<SlotTable> {
  /** By slot: hosts that must know the slot's endpoints (serving, loading and leaving), primary first. */
  readonly holders: readonly (readonly string[])[];
  /** By host: the slots it holds. */
  readonly slotsOf: ReadonlyMap<string, ReadonlySet<number>>;
  /** Every owner host, those included that hold no slot any more but must still know the table, to pass queries on. */
  readonly listed: ReadonlySet<string>;
}

/**
 * What one watch has told so far: everything small, by name and number. Endpoints are absent on purpose: a controller's
 * memory must not grow with them.
 */
export interface Mirror {
  /** Everything up to this revision is in. */
  revision: number;
  /** Raised after each batch; hosts' sessions and relays are what waits look at. */
  readonly changed: Signal;
  readonly vpcs: Map<string, Stored<Vpc>>;
  readonly vpcsByVni: Map<number, Stored<Vpc>>;
  /** By subnetKey. */
  readonly subnets: Map<string, Stored<Subnet>>;
  /** By `<vpc name>/<subnet name>`. */
  readonly subnetsByName: Map<string, Stored<Subnet>>;
  /** By VNI: the numbers of its subnets. */
  readonly numbersOf: Map<number, Set<number>>;
  /** By subnetKey; number 0 is the VPC's dividers. */
  readonly tables: Map<string, TableView>;
  /** By host: subnetKeys of the tables that list it as an owner. */
  readonly tablesOf: Map<string, Set<string>>;
  readonly hosts: Map<string, Stored<Host>>;
  readonly relays: Map<string, Stored<RelayRecord>>;
  /** performance.now() at which this controller saw a relay go; those that went before it started went then. */
  readonly lostRelays: Map<string, number>;
  readonly started_ms: number;
  readonly sessions: Map<string, Stored<SessionRecord>>;
  /** By subnetKey + '/' + ip. */
  readonly held: Map<string, Stored<HeldAddress>>;
  /** Endpoints that move, as index entries; by subnetKey + '/' + ip. */
  readonly moves: Map<string, Stored<Endpoint>>;
}

export const subnetKey = (vni: number, number: number): string => `${vni}/${number}`;

/** Key of the table of a VPC's dividers. */
export const dividersKey = (vni: number): string => subnetKey(vni, 0);

export const emptyMirror = (): Mirror => ({
  revision: 0,
  changed: signal(),
  vpcs: new Map(),
  vpcsByVni: new Map(),
  subnets: new Map(),
  subnetsByName: new Map(),
  numbersOf: new Map(),
  tables: new Map(),
  tablesOf: new Map(),
  hosts: new Map(),
  relays: new Map(),
  lostRelays: new Map(),
  started_ms: performance.now(),
  sessions: new Map(),
  held: new Map(),
  moves: new Map(),
});

export const tableView = (value: SlotTable, revision: number): TableView => {
  const slotsOf = new Map<string, Set<number>>();
  const holders = value.slots.map((slot, number) =>
    slot.holders.map((holder) => {
      const host = value.owners[holder.owner]?.host ?? '';
      slotsOf.set(host, (slotsOf.get(host) ?? new Set()).add(number));
      return host;
    }),
  );
  const listed = new Set(value.owners.map(({ host }) => host));
  return { value: { ...value, generation: revision }, revision, holders, slotsOf, listed };
};

const setTable = (mirror: Mirror, key: string, view: TableView | undefined): void => {
  for (const host of mirror.tables.get(key)?.listed ?? []) mirror.tablesOf.get(host)?.delete(key);
  if (view === undefined) {
    mirror.tables.delete(key);
    return;
  }
  mirror.tables.set(key, view);
  for (const host of view.listed) {
    const keys = mirror.tablesOf.get(host);
    if (keys === undefined) mirror.tablesOf.set(host, new Set([key]));
    else keys.add(key);
  }
};

const setNumber = (mirror: Mirror, vni: number, number: number, exists: boolean): void => {
  const numbers = mirror.numbersOf.get(vni) ?? new Set();
  if (exists) numbers.add(number);
  else numbers.delete(number);
  if (numbers.size === 0) mirror.numbersOf.delete(vni);
  else mirror.numbersOf.set(vni, numbers);
};

const set = <K, T>(map: Map<K, Stored<T>>, key: K, entry: Stored<T> | undefined): void => {
  if (entry === undefined) map.delete(key);
  else map.set(key, entry);
};

/** Brings one change in. Endpoints and indexes are no part of a mirror and pass by. */
export const applyToMirror = (mirror: Mirror, event: WatchEvent, parsed: ParsedKey = parseKey(event.path)): void => {
  const { value, revision } = event;
  const decode = <T>(read: (bytes: Uint8Array) => T): Stored<T> | undefined =>
    value === undefined ? undefined : { value: read(value), revision };
  switch (parsed.kind) {
    case 'vpc': {
      const old = mirror.vpcs.get(parsed.name);
      const vpc = decode((bytes) => Vpc.fromBinary(bytes));
      set(mirror.vpcs, parsed.name, vpc);
      if (old !== undefined) mirror.vpcsByVni.delete(old.value.vni);
      if (vpc !== undefined) mirror.vpcsByVni.set(vpc.value.vni, vpc);
      return;
    }
    case 'subnet': {
      const key = subnetKey(parsed.vni, parsed.number);
      const old = mirror.subnets.get(key);
      const subnet = decode((bytes) => Subnet.fromBinary(bytes));
      set(mirror.subnets, key, subnet);
      setNumber(mirror, parsed.vni, parsed.number, subnet !== undefined);
      if (old !== undefined) mirror.subnetsByName.delete(`${old.value.vpc}/${old.value.name}`);
      if (subnet !== undefined) mirror.subnetsByName.set(`${subnet.value.vpc}/${subnet.value.name}`, subnet);
      return;
    }
    case 'slots': {
      const key = subnetKey(parsed.vni, parsed.subnet);
      setTable(mirror, key, value === undefined ? undefined : tableView(SlotTable.fromBinary(value), revision));
      return;
    }
    case 'host':
      set(
        mirror.hosts,
        parsed.name,
        decode((bytes) => Host.fromBinary(bytes)),
      );
      return;
    case 'relay':
      if (value === undefined) mirror.lostRelays.set(parsed.incarnation, performance.now());
      set(
        mirror.relays,
        parsed.incarnation,
        decode((bytes) => RelayRecord.fromBinary(bytes)),
      );
      return;
    case 'session':
      set(
        mirror.sessions,
        parsed.host,
        decode((bytes) => SessionRecord.fromBinary(bytes)),
      );
      return;
    case 'held':
      set(
        mirror.held,
        `${subnetKey(parsed.vni, parsed.subnet)}/${parsed.ip}`,
        decode((bytes) => HeldAddress.fromBinary(bytes)),
      );
      return;
    case 'move':
      set(
        mirror.moves,
        `${subnetKey(parsed.vni, parsed.subnet)}/${parsed.ip}`,
        decode((bytes) => Endpoint.fromBinary(bytes)),
      );
      return;
    default:
  }
};
