import {
  addressHex,
  type CreateEndpointRequest,
  checkEndpointAddress,
  defaultMac,
  Endpoint,
  type EndpointFields,
  formatAddress,
  formatMac,
  type Host,
  objectName,
  parseAddress,
  validateCreateEndpoint,
} from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { type Compare, keys, type Operation, prefixes } from '@megrez/store';
import type { Stored } from '../mirror';
import type { Addresses } from './addresses';
import { newMeta, type SubnetView } from './lookup';

/** A validated request. */
export interface Draft extends EndpointFields {
  readonly request: CreateEndpointRequest;
  readonly object: string;
}

/** An endpoint that is ready to be written, with what it depends on. */
export interface Candidate {
  readonly draft: Draft;
  readonly endpoint: Endpoint;
  /** The first address, 32 hex digits. */
  readonly ip: string;
  readonly view: SubnetView;
  readonly host: Stored<Host>;
}

/** Does the request itself name the address? */
export const isNamed = ({ ip4, ip6 }: Draft, address: string): boolean =>
  [ip4, ip6].some((named) => named !== undefined && formatAddress(named) === address);

/** @throws MegrezError INVALID_ARGUMENT */
export const draftOf = (request: CreateEndpointRequest): Draft => {
  const { vpc, subnet, name } = request;
  return { ...validateCreateEndpoint(request), request, object: objectName.endpoint(vpc, subnet, name) };
};

/** @throws MegrezError INVALID_ARGUMENT when an address does not fit the subnet */
export const candidateOf = (
  draft: Draft,
  view: SubnetView,
  host: Stored<Host>,
  { first: address, second }: Addresses,
): Candidate => {
  const { request } = draft;
  for (const one of second === undefined ? [address] : [address, second]) {
    checkEndpointAddress(draft.object, one, view.subnet.value);
  }
  const { vni, number } = view.subnet.value;
  const endpoint: Endpoint = {
    meta: newMeta(request.requestId),
    vpc: request.vpc,
    subnet: request.subnet,
    name: request.name,
    host: request.host,
    ip: formatAddress(address),
    mac: draft.mac === undefined ? defaultMac(address) : formatMac(draft.mac),
    attachment: draft.attachment,
    vni,
    subnetNumber: number,
    hostAddress: host.value.address,
    slot: slotOf(vni, address),
    macChosen: draft.mac !== undefined,
    movingTo: '',
    movedFrom: '',
    ip6: second === undefined ? '' : formatAddress(second),
  };
  return { draft, endpoint, ip: addressHex(address), view, host };
};

export interface EndpointKeys {
  /** The first address, 32 hex digits: names the endpoint in every key but those of the second address. */
  readonly ip: string;
  readonly endpoint: ReturnType<typeof keys.endpoint>;
  /** The endpoint under the slot of each of its addresses: one key per family. */
  readonly slots: readonly ReturnType<typeof keys.endpoint>[];
  /** At each host that has, gets or had it: two while it moves. */
  readonly byHosts: readonly ReturnType<typeof keys.byHost>[];
  readonly name: ReturnType<typeof keys.name>;
  /** One per address. */
  readonly held: readonly ReturnType<typeof keys.held>[];
  /** Where services with its addresses would be: one per address. */
  readonly services: readonly ReturnType<typeof keys.serviceAddress>[];
  /** Below which services say that it is their backend: one per address. */
  readonly backends: readonly ReturnType<typeof prefixes.backends>[];
  /** Only of a chosen MAC. */
  readonly mac: ReturnType<typeof keys.mac> | undefined;
  /** There only while it moves. */
  readonly move: ReturnType<typeof keys.move>;
}

/** Every key that an endpoint has or claims. */
export const keysOf = (endpoint: Endpoint, ip = addressHex(parseAddress(endpoint.ip))): EndpointKeys => {
  const { vni, subnetNumber: subnet, slot, name, mac, macChosen } = endpoint;
  const first = keys.endpoint(vni, subnet, slot, ip);
  const second = endpoint.ip6 === '' ? [] : [parseAddress(endpoint.ip6)];
  const addresses = [ip, ...second.map(addressHex)];
  return {
    ip,
    endpoint: first,
    slots: [first, ...second.map((ip6) => keys.endpoint(vni, subnet, slotOf(vni, ip6), addressHex(ip6)))],
    byHosts: placesOf(endpoint).map((host) => keys.byHost(host, vni, subnet, ip)),
    name: keys.name(vni, subnet, name),
    held: addresses.map((address) => keys.held(vni, subnet, address)),
    services: addresses.map((address) => keys.serviceAddress(vni, subnet, address)),
    backends: addresses.map((address) => prefixes.backends(vni, subnet, address)),
    mac: macChosen ? keys.mac(vni, subnet, mac) : undefined,
    move: keys.move(vni, subnet, ip),
  };
};

/** Hosts that have, get or had the endpoint. */
export const placesOf = ({ host, movingTo, movedFrom }: Endpoint): readonly string[] =>
  [host, movingTo, movedFrom].filter((name) => name !== '');

/** The slots in which an endpoint is found: one per address. */
export const slotsOf = ({ vni, slot, ip6 }: Endpoint): readonly number[] =>
  ip6 === '' ? [slot] : [slot, slotOf(vni, parseAddress(ip6))];

/** What must be true of the endpoint itself for its creation. */
export const ownCompares = ({ endpoint, ip }: Candidate): Compare[] => {
  const own = keysOf(endpoint, ip);
  const claimed = [...own.slots, own.name, ...own.held, ...own.services, ...(own.mac === undefined ? [] : [own.mac])];
  return claimed.map((key) => ({ kind: 'absent', key }));
};

/** What must still be true of what the endpoint stands on. */
export const sharedCompares = ({ view, host, endpoint }: Candidate): Compare[] => {
  const { vni, subnetNumber } = endpoint;
  return [
    { kind: 'revision', key: keys.vpc(endpoint.vpc), revision: view.vpc.revision },
    { kind: 'revision', key: keys.subnet(vni, subnetNumber), revision: view.subnet.revision },
    { kind: 'revision', key: keys.slots(vni, subnetNumber), revision: view.table.revision },
    { kind: 'revision', key: keys.host(endpoint.host), revision: host.revision },
  ];
};

export const creation = ({ endpoint, ip }: Candidate): Operation[] => {
  const { vni, subnetNumber, slot } = endpoint;
  const own = keysOf(endpoint, ip);
  const index = Endpoint.create({ vni, subnetNumber, slot, ip: endpoint.ip });
  return [
    ...[...own.slots, ...own.byHosts].map((key) => ({ kind: 'put', key, value: endpoint }) as const),
    { kind: 'put', key: own.name, value: index },
    ...(own.mac === undefined ? [] : [{ kind: 'put', key: own.mac, value: index } as const]),
  ];
};

/** Hosts that must know an endpoint: its own and all holders of its slots, in whatever state. */
export const hostsOf = (endpoint: Endpoint, view: Pick<SubnetView, 'table'>): readonly string[] => [
  ...new Set([...placesOf(endpoint), ...slotsOf(endpoint).flatMap((slot) => view.table.holders[slot] ?? [])]),
];
