import { type MapName, maps } from '@megrez/abi';
import { deleteLink, detach } from '@megrez/kernel';
import { type Change, formatAddress, parseAddress } from '@megrez/model';
import { endpointId, type Known, planUnderlay, portKeys, rowId, rowKey, subnetId } from '@megrez/plan';
import type { Logger } from 'pino';
import { type Datapath, linkedInterfaces } from './datapath';
import type { Interfaces } from './interfaces';
import type { Namespaces } from './namespaces';
import type { Rows } from './rows';

/** What a snapshot named: everything else goes when it is complete. */
export interface Marks {
  readonly vpcs: Set<number>;
  /** By subnetId. */
  readonly subnets: Set<string>;
  readonly tables: Set<string>;
  /** Keys of `mappings` in latin1: the shortest string that tells them apart. */
  readonly endpoints: Set<string>;
}

export const emptyMarks = (): Marks => ({
  vpcs: new Set(),
  subnets: new Set(),
  tables: new Set(),
  endpoints: new Set(),
});

const keyText = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');

export const markNamed = (marks: Marks, changes: readonly Change[]): void => {
  for (const { object, deleted } of changes) {
    if (deleted) continue;
    if (object.oneofKind === 'vpc') marks.vpcs.add(object.vpc.vni);
    else if (object.oneofKind === 'subnet') marks.subnets.add(subnetId(object.subnet.vni, object.subnet.number));
    else if (object.oneofKind === 'table') marks.tables.add(subnetId(object.table.vni, object.table.subnet));
    else if (object.oneofKind === 'endpoint') {
      const { vni, ip } = object.endpoint;
      marks.endpoints.add(keyText(rowKey('mappings', { vni, ip: parseAddress(ip) }).key));
    }
  }
};

/** Intent from an earlier session that the snapshot does not name any more. */
export const forgetUnnamed = (known: Known, marks: Marks): void => {
  for (const vni of known.vpcs.keys()) if (!marks.vpcs.has(vni)) known.vpcs.delete(vni);
  for (const id of known.subnets.keys()) if (!marks.subnets.has(id)) known.subnets.delete(id);
  for (const id of known.tables.keys()) if (!marks.tables.has(id)) known.tables.delete(id);
  for (const [id, { endpoint, ip }] of known.endpoints) {
    if (!marks.endpoints.has(keyText(rowKey('mappings', { vni: endpoint.vni, ip }).key))) known.endpoints.delete(id);
  }
};

/**
 * Interfaces whose endpoint a complete snapshot does not name, rows first. They go before others are made: one of those
 * may need their place. What cannot be taken away is logged and found again with the next snapshot.
 */
export const removeStale = async (
  { known, rows, interfaces }: { readonly known: Known; readonly rows: Rows; readonly interfaces: Interfaces },
  log: Logger,
): Promise<void> => {
  const { whole } = await interfaces.list();
  for (const [id, facts] of new Map([...known.interfaces, ...whole])) {
    if (known.endpoints.has(id)) continue;
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
    readonly datapath: Datapath;
    readonly underlayPrefixes: readonly string[];
  },
  log: Logger,
): Promise<void> => {
  const { known, marks, rows, interfaces, namespaces, datapath, underlayPrefixes } = fields;
  const { halves } = await interfaces.list();
  const kept = new Set(
    [...known.interfaces].filter(([id]) => known.endpoints.has(id)).map(([, facts]) => facts.ifindex),
  );
  const prefixes = new Set(planUnderlay(underlayPrefixes).map(rowId));
  const owners = new Set([...known.tables.values()].flatMap((table) => table.owners));
  const ofTable = ({ vni, subnet }: { vni: number; subnet: number }) => known.tables.get(subnetId(vni, subnet));
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
    networks: (key) => known.vpcs.has(maps.networks.key.decode(key).vni),
    slots: (key) => ofTable(maps.slots.key.decode(key)) !== undefined,
    holdings: (key) => {
      const id = maps.holdings.key.decode(key);
      return ofTable(id)?.held[id.slot] === 1;
    },
    mappings: (key) => keptMapping(known, marks, key),
    endpoints: (key) => {
      const { vni, ip } = maps.endpoints.key.decode(key);
      return known.endpoints.has(endpointId(vni, ip));
    },
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

/** An own endpoint's mapping is a row of this host only while it holds the slot. */
const keptMapping = (known: Known, marks: Marks, key: Buffer): boolean => {
  if (!marks.endpoints.has(keyText(key))) return false;
  const { vni, ip } = maps.mappings.key.decode(key);
  const own = known.endpoints.get(endpointId(vni, ip))?.endpoint;
  return own === undefined || known.tables.get(subnetId(vni, own.subnetNumber))?.held[own.slot] === 1;
};
