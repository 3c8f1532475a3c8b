import { addressHex, parseAddress, Service } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { type Compare, keys, type Operation } from '@megrez/store';
import type { Stored } from '../mirror';
import { txn_limit } from '../provisioning/endpoint-write';
import type { SubnetView } from '../provisioning/lookup';
import { backendKeys } from './backends';

/** One txn: everything of the service changes together, or nothing does. */
export interface Change {
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

/** Changes of different services in as few txns as etcd's limit allows. */
export const packed = <T extends Change>(changes: readonly T[]): readonly (readonly T[])[] => {
  const packs: T[][] = [];
  let room = { compares: 0, operations: 0 };
  for (const change of changes) {
    const { compares, operations } = change;
    if (room.compares < compares.length || room.operations < operations.length) {
      packs.push([]);
      room = { compares: txn_limit, operations: txn_limit };
    }
    packs.at(-1)?.push(change);
    room = { compares: room.compares - compares.length, operations: room.operations - operations.length };
  }
  return packs;
};

export const combined = (pack: readonly Change[]): Change => ({
  compares: pack.flatMap(({ compares }) => compares),
  operations: pack.flatMap(({ operations }) => operations),
});

export interface ServiceKeys {
  readonly service: ReturnType<typeof keys.service>;
  readonly address: ReturnType<typeof keys.serviceAddress>;
  /** Where an endpoint with its address would be. */
  readonly endpoint: ReturnType<typeof keys.endpoint>;
  readonly held: ReturnType<typeof keys.held>;
}

export const keysOf = ({ vni, subnetNumber, name, ip }: Service): ServiceKeys => {
  const address = parseAddress(ip);
  const hex = addressHex(address);
  return {
    service: keys.service(vni, subnetNumber, name),
    address: keys.serviceAddress(vni, subnetNumber, hex),
    endpoint: keys.endpoint(vni, subnetNumber, slotOf(vni, address), hex),
    held: keys.held(vni, subnetNumber, hex),
  };
};

/** What the service stands on: whoever deletes its VPC or subnet changes those first. */
export const shared = ({ vpc, subnet }: SubnetView): Compare[] => [
  { kind: 'revision', key: keys.vpc(vpc.value.name), revision: vpc.revision },
  { kind: 'revision', key: keys.subnet(subnet.value.vni, subnet.value.number), revision: subnet.revision },
];

const indexOf = ({ vpc, subnet, name, vni, subnetNumber }: Service): Service =>
  Service.create({ vpc, subnet, name, vni, subnetNumber });

export const creation = (service: Service, view: SubnetView, backends: readonly Compare[]): Change => {
  const own = keysOf(service);
  const index = indexOf(service);
  return {
    compares: [
      ...shared(view),
      ...[own.service, own.address, own.endpoint, own.held].map((key) => ({ kind: 'absent', key }) as const),
      ...backends,
    ],
    operations: [
      { kind: 'put', key: own.service, value: service },
      { kind: 'put', key: own.address, value: index },
      ...backendKeys(service, service.backends).map((key) => ({ kind: 'put', key, value: index }) as const),
    ],
  };
};

/** Index entries come and go with the backends. */
export const replacement = (
  { value: before, revision }: Stored<Service>,
  after: Service,
  backends: readonly Compare[],
): Change => {
  const old = new Map(backendKeys(before, before.backends).map((key) => [key.path, key]));
  const now = new Map(backendKeys(after, after.backends).map((key) => [key.path, key]));
  const index = indexOf(after);
  const key = keysOf(before).service;
  return {
    compares: [{ kind: 'revision', key, revision }, ...backends],
    operations: [
      { kind: 'put', key, value: after },
      ...[...now.values()].flatMap((one) =>
        old.has(one.path) ? [] : [{ kind: 'put', key: one, value: index } as const],
      ),
      ...[...old.values()].flatMap((one) => (now.has(one.path) ? [] : [{ kind: 'remove', key: one } as const])),
    ],
  };
};

export const removal = ({ value, revision }: Stored<Service>): Change => {
  const own = keysOf(value);
  return {
    compares: [{ kind: 'revision', key: own.service, revision }],
    operations: [own.service, own.address, ...backendKeys(value, value.backends)].map((key) => ({
      kind: 'remove',
      key,
    })),
  };
};
