import { type MapName, maps } from '@megrez/abi';
import { deleteLink, detach } from '@megrez/kernel';
import { type Change, type Endpoint, formatAddress } from '@megrez/model';
import {
  addressesOf,
  type Known,
  planUnderlay,
  portKeys,
  rowId,
  rowKey,
  serviceId,
  serviceKeys,
  subnetId,
  subnetKeys,
} from '@megrez/plan';
import { slotOf } from '@megrez/ring';
import type { Logger } from 'pino';
import { type Datapath, linkedInterfaces } from './datapath';
import type { Interfaces } from './interfaces';
import type { Namespaces } from './namespaces';
import type { Rows } from './rows';
import type { Tombstones } from './tombstones';

/** What a snapshot named: everything else goes when it is complete. */
export interface Marks {
  readonly vpcs: Set<number>;
  /** By subnetId. */
  readonly subnets: Set<string>;
  readonly tables: Set<string>;
  /** Keys of `mappings` in latin1: the shortest string that tells them apart. */
  readonly endpoints: Set<string>;
  /** By serviceId. */
  readonly services: Set<string>;
}

export const emptyMarks = (): Marks => ({
  vpcs: new Set(),
  subnets: new Set(),
  tables: new Set(),
  endpoints: new Set(),
  services: new Set(),
});

const keyText = (key: Buffer): string => key.toString('latin1');

/** The key of an address in `mappings`, `endpoints` and `tombstones`. */
const addressText = (vni: number, ip: Uint8Array): string => keyText(rowKey('mappings', { vni, ip }).key);

/** The addresses of this host's endpoints. */
const ownAddresses = (known: Known): ReadonlyMap<string, Endpoint> =>
  new Map(
    [...known.endpoints.values()].flatMap(({ endpoint }) =>
      addressesOf(endpoint).map((ip) => [addressText(endpoint.vni, ip), endpoint] as const),
    ),
  );

export const markNamed = (marks: Marks, changes: readonly Change[]): void => {
  for (const { object, deleted } of changes) {
    if (deleted) continue;
    if (object.oneofKind === 'vpc') marks.vpcs.add(object.vpc.vni);
    else if (object.oneofKind === 'subnet') marks.subnets.add(subnetId(object.subnet.vni, object.subnet.number));
    else if (object.oneofKind === 'table') marks.tables.add(subnetId(object.table.vni, object.table.subnet));
    else if (object.oneofKind === 'service') marks.services.add(serviceId(object.service));
    else if (object.oneofKind === 'endpoint') {
      const { vni } = object.endpoint;
      for (const ip of addressesOf(object.endpoint)) marks.endpoints.add(addressText(vni, ip));
    }
  }
};

/** Intent from an earlier session that the snapshot does not name any more. */
export const forgetUnnamed = (known: Known, marks: Marks): void => {
  for (const vni of known.vpcs.keys()) if (!marks.vpcs.has(vni)) known.vpcs.delete(vni);
  for (const id of known.subnets.keys()) if (!marks.subnets.has(id)) known.subnets.delete(id);
  for (const id of known.tables.keys()) if (!marks.tables.has(id)) known.tables.delete(id);
  for (const id of known.services.keys()) if (!marks.services.has(id)) known.services.delete(id);
  for (const [id, { endpoint, ip }] of known.endpoints) {
    if (!marks.endpoints.has(addressText(endpoint.vni, ip))) known.endpoints.delete(id);
  }
};

/**
 * Endpoints that a complete snapshot does not name, in the order in which they leave: tombstone, rows, interface. They go
 * before others are made: one of those may need their place. What cannot be taken away is logged and found again with the
 * next snapshot.
 */
export const removeStale = async (
  fields: {
    readonly known: Known;
    readonly marks: Marks;
    /** By endpointId: what the snapshot says of it is still to be done. */
    readonly isMarked: (id: string) => boolean;
    readonly rows: Rows;
    readonly interfaces: Interfaces;
    readonly tombstones: Tombstones;
  },
  log: Logger,
): Promise<void> => {
  const { known, marks, isMarked, rows, interfaces, tombstones } = fields;
  for (const { key, value } of await rows.entries('endpoints')) {
    if (marks.endpoints.has(keyText(key))) continue;
    // Where to, nobody says: if it moved, its owners know.
    tombstones.bury({ map: 'endpoints', key }, new Uint8Array(16), maps.endpoints.value.decode(value).generation + 1);
    rows.remove({ map: 'endpoints', key });
  }
  const { whole } = await interfaces.list();
  for (const [id, facts] of new Map([...known.interfaces, ...whole])) {
    if (known.endpoints.has(id) || isMarked(id)) continue;
    known.interfaces.delete(id);
    try {
      for (const key of portKeys(facts.ifindex)) rows.remove(key);
      await interfaces.remove(facts);
    } catch (error) {
      log.error({ error, object: id }, 'interface could not be removed');
    }
  }
};

/** Rows, links and namespaces of objects that a complete snapshot does not name. Their interfaces are gone already. */
export const prune = async (
  fields: {
    readonly known: Known;
    readonly marks: Marks;
    readonly rows: Rows;
    readonly interfaces: Interfaces;
    readonly namespaces: Namespaces;
    readonly tombstones: Tombstones;
    readonly datapath: Datapath;
    readonly underlayPrefixes: readonly string[];
  },
  log: Logger,
): Promise<void> => {
  const { known, marks, rows, interfaces, namespaces, tombstones, datapath, underlayPrefixes } = fields;
  const { halves } = await interfaces.list();
  const kept = new Set(
    [...known.interfaces].filter(([id]) => known.endpoints.has(id)).map(([, facts]) => facts.ifindex),
  );
  const prefixes = new Set(planUnderlay(underlayPrefixes).map(rowId));
  const owners = new Set([...known.tables.values()].flatMap((table) => table.owners));
  const ofTable = ({ vni, subnet }: { vni: number; subnet: number }) => known.tables.get(subnetId(vni, subnet));
  const own = ownAddresses(known);
  const holds = ({ vni, subnetNumber }: Endpoint, ip: Uint8Array): boolean =>
    known.tables.get(subnetId(vni, subnetNumber))?.held[slotOf(vni, ip)] === 1;
  const routes = new Set(
    [...known.subnets.values()].flatMap(({ subnet, facts }) => subnetKeys(subnet.vni, facts).map(rowId)),
  );
  const services = new Set([...known.services.values()].flatMap(serviceKeys).map(rowId));
  const ofPort = (key: Buffer): boolean => kept.has(maps.ports.key.decode(key).ifindex);

  const pruned = new Map<string, number>();
  /** One thing that cannot be removed must not keep the others, or the host, from their work. */
  const attempt = async (what: string, remove: () => Promise<unknown>): Promise<void> => {
    try {
      const removed = await remove();
      const count = typeof removed === 'number' ? removed : Number(removed !== false);
      if (count > 0) pruned.set(what, (pruned.get(what) ?? 0) + count);
    } catch (error) {
      log.error({ error, what }, 'could not be pruned');
    }
  };
  const keepers: { readonly [M in MapName]?: (key: Buffer) => boolean } = {
    networks: (key) => {
      const { vni } = maps.networks.key.decode(key);
      return known.vpcs.has(vni) || tombstones.within(vni);
    },
    routes: (key) => routes.has(rowId({ map: 'routes', key })),
    slots: (key) => ofTable(maps.slots.key.decode(key)) !== undefined,
    holdings: (key) => {
      const id = maps.holdings.key.decode(key);
      return ofTable(id)?.held[id.slot] === 1;
    },
    services: (key) => services.has(rowId({ map: 'services', key })),
    service_ports: (key) => services.has(rowId({ map: 'service_ports', key })),
    backends: (key) => services.has(rowId({ map: 'backends', key })),
    mappings: (key) => {
      const text = keyText(key);
      if (!marks.endpoints.has(text)) return false;
      // An own endpoint's mapping is a row of this host only while it holds the slot.
      const endpoint = own.get(text);
      return endpoint === undefined || holds(endpoint, maps.mappings.key.decode(key).ip);
    },
    endpoints: (key) => own.has(keyText(key)),
    ports: ofPort,
    budgets: ofPort,
    traffic: ofPort,
    next_hops: (key) => owners.has(formatAddress(maps.next_hops.key.decode(key).host)),
    underlay: (key) => prefixes.has(rowId({ map: 'underlay', key: Buffer.from(key) })),
  };
  for (const [map, keep] of Object.entries(keepers)) await attempt(map, () => rows.prune(map as MapName, keep));
  for (const { ifindex } of halves) if (!kept.has(ifindex)) await attempt('interfaces', () => deleteLink({ ifindex }));
  for (const ifindex of linkedInterfaces(datapath)) {
    if (!kept.has(ifindex)) await attempt('links', () => detach(datapath.endpointPin(ifindex)));
  }
  const used = new Set([...known.endpoints.values()].map(({ endpoint }) => namespaces.pathOf(endpoint)));
  for (const path of namespaces.list()) if (!used.has(path)) await attempt('namespaces', () => namespaces.remove(path));
  if (pruned.size > 0) log.info(Object.fromEntries(pruned), 'pruned what the snapshot does not name');
};
