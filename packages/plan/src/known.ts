import { type Address, addressHex, type Change, type Endpoint, parseAddress, type Subnet } from '@megrez/model';
import type { InterfaceFacts, PlanContext, SubnetFacts } from './context';
import { endpointKeys } from './endpoint';
import { type Intent, plan } from './plan';
import type { Row, RowKey } from './row';
import { subnetFacts } from './subnet';
import { ownerAddresses, slotsHeld, tableKeys } from './table';
import { vpcKeys } from './vpc';

/** One object whose rows must be looked at again. */
export interface Work {
  readonly id: string;
  /** Of a deleted object, as little as its deletion says. */
  readonly object: Intent;
  readonly deleted: boolean;
}

/** An endpoint of this host. */
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
  /** By endpointId; set and removed by whoever makes interfaces. */
  readonly interfaces: Map<string, InterfaceFacts>;
}

export const emptyKnown = (): Known => ({
  vpcs: new Map(),
  subnets: new Map(),
  tables: new Map(),
  endpoints: new Map(),
  interfaces: new Map(),
});

export const subnetId = (vni: number, subnet: number): string => `${vni}/${subnet}`;
export const endpointId = (vni: number, ip: Address): string => `endpoint ${vni}/${addressHex(ip)}`;

export const contextOf = (known: Known, host: string): PlanContext => ({
  host,
  subnet: (vni, subnet) => known.subnets.get(subnetId(vni, subnet))?.facts,
  holds: (vni, subnet, slot) => known.tables.get(subnetId(vni, subnet))?.held[slot] === 1,
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
      if ((known.subnets.get(id)?.subnet.meta?.generation ?? 0) > generation) return [];
      if (deleted) known.subnets.delete(id);
      else known.subnets.set(id, { subnet: object.subnet, facts: subnetFacts(object.subnet) });
      return endpointsIn(known, vni, number);
    }
    case 'table': {
      const { vni, subnet } = object.table;
      const id = subnetId(vni, subnet);
      if ((known.tables.get(id)?.generation ?? 0) > generation) return [];
      if (deleted) known.tables.delete(id);
      else {
        const held = slotsHeld(object.table, host);
        known.tables.set(id, { vni, subnet, generation, held, owners: ownerAddresses(object.table) });
      }
      return [{ id: `table ${id}`, object, deleted }, ...endpointsIn(known, vni, subnet)];
    }
    case 'endpoint': {
      const { endpoint } = object;
      const ip = parseAddress(endpoint.ip);
      const id = endpointId(endpoint.vni, ip);
      if ((known.endpoints.get(id)?.endpoint.meta?.generation ?? 0) > generation) return [];
      if (deleted || endpoint.host !== host) known.endpoints.delete(id);
      else known.endpoints.set(id, { endpoint, ip });
      return [{ id, object, deleted }];
    }
    default:
      return [];
  }
};

const endpointsIn = (known: Known, vni: number, subnet: number): readonly Work[] =>
  [...known.endpoints]
    .filter(([, { endpoint }]) => endpoint.vni === vni && endpoint.subnetNumber === subnet)
    .map(([id, { endpoint }]) => ({ id, object: { oneofKind: 'endpoint', endpoint }, deleted: false }));

/** What the rows of one object should be. */
export const rowsOf = (known: Known, host: string, { object, deleted }: Work): readonly Row[] =>
  deleted ? [] : plan(object, contextOf(known, host));

/** Every row that the object may have, `ifindex` being that of the endpoint's interface if it has or had one. */
export const keysOf = ({ object }: Pick<Work, 'object'>, ifindex?: number): readonly RowKey[] => {
  switch (object.oneofKind) {
    case 'vpc':
      return vpcKeys(object.vpc.vni);
    case 'table':
      return tableKeys(object.table.vni, object.table.subnet);
    case 'endpoint':
      return endpointKeys(object.endpoint.vni, parseAddress(object.endpoint.ip), ifindex);
    default:
      return [];
  }
};
