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
import { type Compare, keys, type Operation } from '@megrez/store';
import type { Stored } from '../mirror';
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
  /** 32 hex digits. */
  readonly ip: string;
  readonly view: SubnetView;
  readonly host: Stored<Host>;
}

/** @throws MegrezError INVALID_ARGUMENT */
export const draftOf = (request: CreateEndpointRequest): Draft => {
  const { vpc, subnet, name } = request;
  return { ...validateCreateEndpoint(request), request, object: objectName.endpoint(vpc, subnet, name) };
};

/** @throws MegrezError INVALID_ARGUMENT when the address does not fit the subnet */
export const candidateOf = (draft: Draft, view: SubnetView, host: Stored<Host>, address: Uint8Array): Candidate => {
  const { request } = draft;
  checkEndpointAddress(draft.object, address, view.subnet.value);
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
    ip6: '',
  };
  return { draft, endpoint, ip: addressHex(address), view, host };
};

export interface EndpointKeys {
  readonly endpoint: ReturnType<typeof keys.endpoint>;
  readonly byHost: ReturnType<typeof keys.byHost>;
  readonly name: ReturnType<typeof keys.name>;
  readonly held: ReturnType<typeof keys.held>;
  /** Only of a chosen MAC. */
  readonly mac: ReturnType<typeof keys.mac> | undefined;
}

/** Every key that an endpoint has or claims. */
export const keysOf = (endpoint: Endpoint, ip = addressHex(parseAddress(endpoint.ip))): EndpointKeys => {
  const { vni, subnetNumber, slot, host, name, mac, macChosen } = endpoint;
  return {
    endpoint: keys.endpoint(vni, subnetNumber, slot, ip),
    byHost: keys.byHost(host, vni, subnetNumber, ip),
    name: keys.name(vni, subnetNumber, name),
    held: keys.held(vni, subnetNumber, ip),
    mac: macChosen ? keys.mac(vni, subnetNumber, mac) : undefined,
  };
};

/** What must be true of the endpoint itself for its creation. */
export const ownCompares = ({ endpoint, ip }: Candidate): Compare[] => {
  const own = keysOf(endpoint, ip);
  const claimed = [own.endpoint, own.name, own.held, ...(own.mac === undefined ? [] : [own.mac])];
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
    { kind: 'put', key: own.endpoint, value: endpoint },
    { kind: 'put', key: own.byHost, value: endpoint },
    { kind: 'put', key: own.name, value: index },
    ...(own.mac === undefined ? [] : [{ kind: 'put', key: own.mac, value: index } as const]),
  ];
};

/** Hosts that must know an endpoint: its own and all holders of its slot. */
export const hostsOf = ({ host, slot }: Endpoint, view: Pick<SubnetView, 'table'>): readonly string[] => [
  ...new Set([host, ...(view.table.holders[slot] ?? [])]),
];
