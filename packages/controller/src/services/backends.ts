import {
  type Address,
  addressHex,
  type Endpoint,
  type Family,
  familyOf,
  MegrezError,
  objectName,
  parseAddress,
  type Service,
  ServiceBackend,
} from '@megrez/model';
import { maglev, slotOf } from '@megrez/ring';
import { type Compare, type Entry, keys } from '@megrez/store';
import type { Context } from '../context';
import { subnetNotFound } from '../provisioning/lookup';

const usual_weight = 100;

/** Backends as they are to be stored, and what must be true of the endpoints that are new among them. */
export interface Found {
  readonly backends: readonly ServiceBackend[];
  readonly compares: readonly Compare[];
}

export interface FindOptions {
  /** What errors are about. */
  readonly object: string;
  readonly vpc: { readonly name: string; readonly vni: number };
  readonly family: Family;
  readonly wanted: readonly ServiceBackend[];
  /** The service's present ones: they keep their numbers. */
  readonly present: readonly ServiceBackend[];
}

/**
 * The endpoints that a service names, wherever in the VPC they are.
 * @throws MegrezError NOT_FOUND naming a subnet or endpoint; FAILED_PRECONDITION / BACKEND_FAMILY
 */
export const findBackends = async (context: Context, options: FindOptions): Promise<Found> => {
  const { object, vpc, family, wanted, present } = options;
  const endpoints = await findEndpoints(context, vpc, wanted);
  const backends: ServiceBackend[] = [];
  const compares: Compare[] = [];
  const numbers = new Set(present.map(({ number }) => number));
  const free = (): number => {
    let number = 0;
    while (numbers.has(number)) number += 1;
    numbers.add(number);
    return number;
  };
  const places = endpoints.map((entry) => ({ entry, ip: addressOf(object, entry.value, family) }));
  const stays = places.map(({ entry, ip }) =>
    present.find((one) => one.subnetNumber === entry.value.subnetNumber && sameText(one.ip, ip)),
  );
  // Numbers of those that leave are free.
  for (const one of present) if (!stays.includes(one)) numbers.delete(one.number);
  for (const [i, { subnet, endpoint, weight }] of wanted.entries()) {
    const { entry, ip } = places[i] as (typeof places)[number];
    const old = stays[i];
    const { subnetNumber } = entry.value;
    const text = textOf(entry.value, ip);
    backends.push(
      ServiceBackend.create({
        ...{ subnet, endpoint, weight, subnetNumber, ip: text },
        number: old?.number ?? free(),
        down: old?.down ?? false,
      }),
    );
    const key = keys.endpoint(vpc.vni, subnetNumber, slotOf(vpc.vni, ip), addressHex(ip));
    compares.push({ kind: 'created', key, revision: entry.created_revision });
  }
  return { backends, compares };
};

const findEndpoints = async (
  { store }: Context,
  { name: vpc, vni }: FindOptions['vpc'],
  wanted: readonly ServiceBackend[],
): Promise<readonly Entry<Endpoint>[]> => {
  const names = [...new Set(wanted.map(({ subnet }) => subnet))];
  const subnets = await store.getMany(names.map((name) => keys.subnetName(vni, name)));
  const numbers = new Map(names.map((name, i) => [name, subnets[i]?.value.number]));
  const indexes = await store.getMany(
    wanted.map(({ subnet, endpoint }) => {
      const number = numbers.get(subnet);
      if (number === undefined) throw subnetNotFound(vpc, subnet);
      return keys.name(vni, number, endpoint);
    }),
  );
  const absent = (i: number): MegrezError => {
    const { subnet = '', endpoint = '' } = wanted[i] ?? {};
    const object = objectName.endpoint(vpc, subnet, endpoint);
    return new MegrezError({
      code: 'NOT_FOUND',
      reason: 'ENDPOINT_NOT_FOUND',
      object,
      message: `${object} does not exist, so that it cannot be a backend`,
    });
  };
  const entries = await store.getMany(
    indexes.map((index, i) => {
      if (index === undefined) throw absent(i);
      const { subnetNumber, slot, ip } = index.value;
      return keys.endpoint(vni, subnetNumber, slot, addressHex(parseAddress(ip)));
    }),
  );
  return entries.map((entry, i) => {
    // The address may be another endpoint's by now.
    if (entry === undefined || entry.value.name !== wanted[i]?.endpoint) throw absent(i);
    return entry;
  });
};

const addressOf = (object: string, endpoint: Endpoint, family: Family): Address => {
  const addresses = [endpoint.ip, endpoint.ip6].filter((text) => text !== '').map(parseAddress);
  const found = addresses.find((address) => familyOf(address) === family);
  if (found !== undefined) return found;
  const { vpc, subnet, name } = endpoint;
  throw new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'BACKEND_FAMILY',
    object,
    message: `${objectName.endpoint(vpc, subnet, name)} has no IPv${family} address`,
  });
};

const sameText = (text: string, address: Address): boolean => addressHex(parseAddress(text)) === addressHex(address);

const textOf = ({ ip, ip6 }: Endpoint, address: Address): string => (sameText(ip, address) ? ip : ip6);

/** The table of the backends that live, which moves as little as it can away from the present one. */
export const bucketsOf = (backends: readonly ServiceBackend[], present: Uint8Array = new Uint8Array(0)): Uint8Array =>
  maglev(
    backends
      .filter(({ down }) => !down)
      .map(({ number, ip, weight }) => ({ number, name: ip, weight: weight || usual_weight })),
    present,
  );

/** The index entry of each backend of a service. */
export const backendKeys = ({ vni, subnetNumber: of, name }: Service, backends: readonly ServiceBackend[]) =>
  backends.map(({ subnetNumber, ip }) => keys.backend(vni, subnetNumber, addressHex(parseAddress(ip)), of, name));
