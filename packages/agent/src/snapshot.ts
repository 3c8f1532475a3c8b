import { maps } from '@megrez/abi';
import { deleteLink, detach } from '@megrez/kernel';
import { type Change, formatAddress, parseAddress } from '@megrez/model';
import { endpointId, type Known, planUnderlay, rowId, rowKey, subnetId } from '@megrez/plan';
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

/** Rows, interfaces, links and namespaces of objects that a complete snapshot does not name. */
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
  const { whole, halves } = await interfaces.list();
  const stale = [...whole].filter(([id]) => !known.endpoints.has(id));
  const kept = new Set(
    [...known.interfaces].filter(([id]) => known.endpoints.has(id)).map(([, facts]) => facts.ifindex),
  );
  const prefixes = new Set(planUnderlay(underlayPrefixes).map(rowId));
  const owners = new Set([...known.tables.values()].flatMap((table) => table.owners));
  const ofTable = ({ vni, subnet }: { vni: number; subnet: number }) => known.tables.get(subnetId(vni, subnet));
  const ofPort = (key: Buffer): boolean => kept.has(maps.ports.key.decode(key).ifindex);

  const pruned = {
    networks: await rows.prune('networks', (key) => known.vpcs.has(maps.networks.key.decode(key).vni)),
    slots: await rows.prune('slots', (key) => ofTable(maps.slots.key.decode(key)) !== undefined),
    holdings: await rows.prune('holdings', (key) => {
      const id = maps.holdings.key.decode(key);
      return ofTable(id)?.held[id.slot] === 1;
    }),
    mappings: await rows.prune('mappings', (key) => keptMapping(known, marks, key)),
    endpoints: await rows.prune('endpoints', (key) => {
      const { vni, ip } = maps.endpoints.key.decode(key);
      return known.endpoints.has(endpointId(vni, ip));
    }),
    ports: await rows.prune('ports', ofPort),
    budgets: await rows.prune('budgets', ofPort),
    traffic: await rows.prune('traffic', ofPort),
    next_hops: await rows.prune('next_hops', (key) => owners.has(formatAddress(maps.next_hops.key.decode(key).host))),
    underlay: await rows.prune('underlay', (key) => prefixes.has(rowId({ map: 'underlay', key: Buffer.from(key) }))),
    interfaces: stale.length + halves.length,
  };
  for (const [id, facts] of stale) {
    known.interfaces.delete(id);
    await interfaces.remove(facts);
  }
  for (const { ifindex } of halves) if (!kept.has(ifindex)) await deleteLink({ ifindex });
  for (const ifindex of linkedInterfaces(datapath)) if (!kept.has(ifindex)) await detach(datapath.endpointPin(ifindex));
  const used = new Set([...known.endpoints.values()].map(({ endpoint }) => namespaces.pathOf(endpoint)));
  for (const path of namespaces.list()) if (!used.has(path)) await namespaces.remove(path);
  const some = Object.entries(pruned).filter(([, count]) => count > 0);
  if (some.length > 0) log.info(Object.fromEntries(some), 'pruned what the snapshot does not name');
};

/** An own endpoint's mapping is a row of this host only while it holds the slot. */
const keptMapping = (known: Known, marks: Marks, key: Buffer): boolean => {
  if (!marks.endpoints.has(keyText(key))) return false;
  const { vni, ip } = maps.mappings.key.decode(key);
  const own = known.endpoints.get(endpointId(vni, ip))?.endpoint;
  return own === undefined || known.tables.get(subnetId(vni, own.subnetNumber))?.held[own.slot] === 1;
};
