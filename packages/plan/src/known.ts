import {
  type Address,
  addressHex,
  type Change,
  type Endpoint,
  parseAddress,
  type Service,
  type Subnet,
} from '@megrez/model';
import type { InterfaceFacts, PlanContext, SubnetFacts } from './context';
import { addressesOf, endpointKeys, presenceOf } from './endpoint';
import { type Intent, plan } from './plan';
import { type Row, type RowKey, rowId } from './row';
import { serviceKeys } from './service';
import { subnetFacts, subnetKeys } from './subnet';
import { ownerAddresses, slotsHeld, tableKeys } from './table';
import { vpcKeys } from './vpc';

/** One object whose rows must be looked at again. */
export interface Work {
  readonly id: string;
  /** Of a deleted object, as little as its deletion says. */
  readonly object: Intent;
  readonly deleted: boolean;
  /** Rows that it had here before, when it may not have them any more. */
  readonly former?: readonly RowKey[];
}

/** An endpoint of this host: one that is here, comes, or is about to leave. */
export interface OwnEndpoint {
  readonly endpoint: Endpoint;
  readonly ip: Address;
}

/** A slot table in the little that other objects and next hops need of it. */
export interface KnownTable {
  readonly vni: number;
  readonly subnet: number;
  readonly generation: number;
  /** By slot: 1 where this host holds it. */
  readonly held: Uint8Array;
  readonly owners: readonly string[];
}

/**
 * What a host remembers of its intent: everything but other hosts' endpoints, whose rows depend on nothing else and are
 * remembered by the kernel's map alone.
 */
export interface Known {
  readonly vpcs: Map<number, number>;
  readonly subnets: Map<string, { readonly subnet: Subnet; readonly facts: SubnetFacts }>;
  readonly tables: Map<string, KnownTable>;
  /** By endpointId. */
  readonly endpoints: Map<string, OwnEndpoint>;
  /** By serviceId: those of the subnets of which this host holds slots. */
  readonly services: Map<string, Service>;
  /** By endpointId; set and removed by whoever makes interfaces. */
  readonly interfaces: Map<string, InterfaceFacts>;
}

export const emptyKnown = (): Known => ({
  vpcs: new Map(),
  subnets: new Map(),
  tables: new Map(),
  endpoints: new Map(),
  services: new Map(),
  interfaces: new Map(),
});

export const subnetId = (vni: number, subnet: number): string => `${vni}/${subnet}`;
export const endpointId = (vni: number, ip: Address): string => `endpoint ${vni}/${addressHex(ip)}`;

export const serviceId = ({ vni, subnetNumber, name }: Service): string => `service ${vni}/${subnetNumber}/${name}`;

export const contextOf = (known: Known, host: string): PlanContext => ({
  host,
  subnet: (vni, subnet) => known.subnets.get(subnetId(vni, subnet))?.facts,
  holds: (vni, subnet, slot) => {
    const table = known.tables.get(subnetId(vni, subnet));
    return table === undefined ? undefined : table.held[slot] === 1;
  },
  holdsAny: (vni, subnet) => known.tables.get(subnetId(vni, subnet))?.held.includes(1) ?? false,
  interfaceOf: (vni, ip) => known.interfaces.get(endpointId(vni, ip)),
});

/** Remembers a change; returns the objects whose rows it concerns. A generation below the known one changes nothing. */
export const note = (known: Known, host: string, { object, deleted, generation }: Change): readonly Work[] => {
  switch (object.oneofKind) {
    case 'vpc': {
      const { vni } = object.vpc;
      if ((known.vpcs.get(vni) ?? 0) > generation) return [];
      if (deleted) known.vpcs.delete(vni);
      else known.vpcs.set(vni, generation);
      return [{ id: `vpc ${vni}`, object, deleted }];
    }
    case 'subnet': {
      const { vni, number } = object.subnet;
      const id = subnetId(vni, number);
      const before = known.subnets.get(id);
      if ((before?.subnet.meta?.generation ?? 0) > generation) return [];
      if (deleted) known.subnets.delete(id);
      else known.subnets.set(id, { subnet: object.subnet, facts: subnetFacts(object.subnet) });
      const former = before === undefined ? [] : subnetKeys(vni, before.facts);
      return [{ id: `subnet ${id}`, object, deleted, former }, ...endpointsIn(known, vni, number)];
    }
    case 'table': {
      const { vni, subnet } = object.table;
      const id = subnetId(vni, subnet);
      const { holdsAny } = contextOf(known, host);
      const before = holdsAny(vni, subnet);
      if ((known.tables.get(id)?.generation ?? 0) > generation) return [];
      if (deleted) known.tables.delete(id);
      else {
        const held = slotsHeld(object.table, host);
        known.tables.set(id, { vni, subnet, generation, held, owners: ownerAddresses(object.table) });
      }
      return [
        { id: `table ${id}`, object, deleted },
        ...endpointsIn(known, vni, subnet),
        ...(holdsAny(vni, subnet) === before ? [] : servicesIn(known, vni, subnet, !before)),
      ];
    }
    case 'endpoint': {
      const { endpoint } = object;
      const ip = parseAddress(endpoint.ip);
      const id = endpointId(endpoint.vni, ip);
      const before = known.endpoints.get(id)?.endpoint;
      if ((before?.meta?.generation ?? 0) > generation) return [];
      if (deleted || presenceOf(endpoint, host) === 'elsewhere') known.endpoints.delete(id);
      else known.endpoints.set(id, { endpoint, ip });
      const former = before === undefined ? [] : addressKeys(before);
      return [{ id, object, deleted, former }];
    }
    case 'service': {
      const { service } = object;
      const id = serviceId(service);
      const before = known.services.get(id);
      if ((before?.meta?.generation ?? 0) > generation) return [];
      if (deleted) known.services.delete(id);
      else known.services.set(id, service);
      return [{ id, object, deleted, former: before === undefined ? [] : serviceKeys(before) }];
    }
    default:
      return [];
  }
};

const endpointsIn = (known: Known, vni: number, subnet: number): readonly Work[] =>
  [...known.endpoints]
    .filter(([, { endpoint }]) => endpoint.vni === vni && endpoint.subnetNumber === subnet)
    .map(([id, { endpoint }]) => ({ id, object: { oneofKind: 'endpoint', endpoint }, deleted: false }));

/** Services of a subnet of which this host came to hold slots, or holds none any more: then it is told no more of them. */
const servicesIn = (known: Known, vni: number, subnet: number, held: boolean): readonly Work[] => {
  const inside = [...known.services].filter(([, one]) => one.vni === vni && one.subnetNumber === subnet);
  if (!held) for (const [id] of inside) known.services.delete(id);
  return inside.map(([id, service]) => ({ id, object: { oneofKind: 'service', service }, deleted: !held }));
};

const addressKeys = (endpoint: Endpoint, ifindex?: number): readonly RowKey[] =>
  addressesOf(endpoint).flatMap((ip, i) => endpointKeys(endpoint.vni, ip, i === 0 ? ifindex : undefined));

/** Two works on one object, of which only the later is still to be done: it looks after the rows of both. */
export const mergeWork = (earlier: Work | undefined, later: Work): Work => {
  const kind = later.object.oneofKind;
  // The rows that other objects may have are told by their id.
  if (earlier === undefined || (kind !== 'endpoint' && kind !== 'subnet' && kind !== 'service')) return later;
  return { ...later, former: [...keysOf(earlier), ...(later.former ?? [])] };
};

/** What the rows of one object should be. */
export const rowsOf = (known: Known, host: string, { object, deleted }: Work): readonly Row[] =>
  deleted ? [] : plan(object, contextOf(known, host));

/**
 * Every row that the object may have or had here, each once, `ifindex` being that of the endpoint's interface if it has
 * or had one.
 */
export const keysOf = (work: Pick<Work, 'object' | 'former'>, ifindex?: number): readonly RowKey[] => {
  const keys = objectKeys(work.object, ifindex);
  if (work.former === undefined || work.former.length === 0) return keys;
  return [...new Map([...keys, ...work.former].map((key) => [rowId(key), key])).values()];
};

const objectKeys = (object: Intent, ifindex: number | undefined): readonly RowKey[] => {
  switch (object.oneofKind) {
    case 'vpc':
      return vpcKeys(object.vpc.vni);
    case 'subnet':
      return subnetKeys(object.subnet.vni, subnetFacts(object.subnet));
    case 'table':
      return tableKeys(object.table.vni, object.table.subnet);
    case 'endpoint':
      return addressKeys(object.endpoint, ifindex);
    case 'service':
      return serviceKeys(object.service);
    default:
      return [];
  }
};
