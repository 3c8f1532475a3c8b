import { type Address, compareAddresses, familyOf, formatAddress, sameAddress } from '../address';
import { broadcastAddress, type Cidr, contains, firstHost, parseCidr } from '../cidr';
import type {
  Attachment,
  BatchCreateEndpointsRequest,
  CreateEndpointRequest,
  DeleteEndpointRequest,
  GetEndpointRequest,
  ListEndpointsRequest,
  MoveEndpointRequest,
} from '../gen/megrez/v1/endpoint';
import { limits } from '../limits';
import { formatMac, gatewayMac, type Mac } from '../mac';
import { objectName, validateName } from '../names';
import {
  addressField,
  interfaceField,
  macField,
  pageField,
  pathField,
  refuse,
  requestIdField,
  timeoutField,
} from './fields';

/** What a create asks for; an absent address or MAC is the controller's choice. */
export interface EndpointFields {
  readonly ip4: Address | undefined;
  readonly ip6: Address | undefined;
  readonly mac: Mac | undefined;
  /** Never without a kind. */
  readonly attachment: Attachment;
  readonly timeout_ms: number;
}

/** All functions here throw MegrezError INVALID_ARGUMENT. Whether the address fits the subnet: checkEndpointAddress. */
export const validateCreateEndpoint = (request: CreateEndpointRequest): EndpointFields => {
  const object = endpointName(request);
  hostField(object, request.host);
  requestIdField(object, request.requestId);
  const mac = request.mac === '' ? undefined : macField(object, request.mac);
  if (mac !== undefined && formatMac(mac) === gatewayMac) {
    throw refuse(object, 'INVALID_MAC', `${gatewayMac} is the gateway's MAC address: choose another one`);
  }
  return {
    ...addressesField(object, request.ip),
    mac,
    attachment: attachmentField(object, request.attachment),
    timeout_ms: timeoutField(object, request.timeoutMs),
  };
};

/** Only the size: each request is judged alone, with a result of its own. */
export const validateBatchCreateEndpoints = (request: BatchCreateEndpointsRequest): void => {
  if (request.requests.length > limits.batch) {
    throw refuse(
      'endpoints',
      'BATCH_TOO_LARGE',
      `a batch has at most ${limits.batch} endpoints, not ${request.requests.length}`,
    );
  }
};

export const validateGetEndpoint = (request: GetEndpointRequest): void => {
  endpointName(request);
};

export const validateDeleteEndpoint = (request: DeleteEndpointRequest): { readonly timeout_ms: number } => ({
  timeout_ms: timeoutField(endpointName(request), request.timeoutMs),
});

/** An absent attachment is left to who knows the endpoint's present one. */
export const validateMoveEndpoint = (
  request: MoveEndpointRequest,
): { readonly attachment: Attachment | undefined; readonly timeout_ms: number } => {
  const object = endpointName(request);
  hostField(object, request.host);
  const given = request.attachment?.kind.oneofKind !== undefined;
  return {
    attachment: given ? attachmentField(object, request.attachment) : undefined,
    timeout_ms: timeoutField(object, request.timeoutMs),
  };
};

/** The page size. */
export const validateListEndpoints = (request: ListEndpointsRequest): number => {
  if (request.vpc !== '') validateName('vpc', request.vpc);
  if (request.subnet !== '') {
    if (request.vpc === '') throw refuse('endpoints', 'NAME_MISSING', `subnet ${request.subnet} of which vpc?`);
    validateName('subnet', request.subnet, objectName.subnet(request.vpc, request.subnet));
  }
  if (request.host !== '') validateName('host', request.host);
  return pageField('endpoints', request);
};

/**
 * The address is in the subnet and is neither its network, gateway nor broadcast address. Returns the CIDR it is in.
 * @throws MegrezError INVALID_ARGUMENT / ADDRESS_OUTSIDE_SUBNET, ADDRESS_IS_NETWORK, ADDRESS_IS_GATEWAY,
 *   ADDRESS_IS_BROADCAST
 */
export const checkEndpointAddress = (
  object: string,
  address: Address,
  subnet: { readonly vpc: string; readonly name: string; readonly cidrs: readonly string[] },
): Cidr => {
  const text = formatAddress(address);
  const cidr = subnet.cidrs.map(parseCidr).find((candidate) => contains(candidate, address));
  const name = objectName.subnet(subnet.vpc, subnet.name);
  if (cidr === undefined) {
    throw refuse(object, 'ADDRESS_OUTSIDE_SUBNET', `${text} is not inside ${name} (${subnet.cidrs.join(', ')})`);
  }
  const broadcast = broadcastAddress(cidr);
  if (compareAddresses(address, cidr.address) === 0) {
    throw refuse(object, 'ADDRESS_IS_NETWORK', `${text} is the network address of ${name} (${cidr.text})`);
  }
  if (sameAddress(address, firstHost(cidr))) {
    throw refuse(object, 'ADDRESS_IS_GATEWAY', `${text} is the gateway of ${name} (${cidr.text})`);
  }
  if (broadcast !== undefined && sameAddress(address, broadcast)) {
    throw refuse(object, 'ADDRESS_IS_BROADCAST', `${text} is the broadcast address of ${name} (${cidr.text})`);
  }
  return cidr;
};

/** None, one, or one of each family with a comma between them. */
const addressesField = (object: string, text: string): Pick<EndpointFields, 'ip4' | 'ip6'> => {
  const addresses = text === '' ? [] : text.split(',').map((one) => addressField(object, one.trim()));
  const ip4 = addresses.find((address) => familyOf(address) === 4);
  const ip6 = addresses.find((address) => familyOf(address) === 6);
  if (addresses.length > Number(ip4 !== undefined) + Number(ip6 !== undefined)) {
    throw refuse(
      object,
      'ADDRESS_FAMILY',
      `'${text}' has two addresses of one family: an endpoint has at most one of each`,
    );
  }
  return { ip4, ip6 };
};

const attachmentField = (object: string, attachment: Attachment | undefined): Attachment => {
  const kind = attachment?.kind;
  switch (kind?.oneofKind) {
    case undefined:
      return { kind: { oneofKind: 'managed', managed: {} } };
    case 'netns':
      pathField(object, kind.netns.path);
      if (kind.netns.interface !== '') interfaceField(object, kind.netns.interface);
      break;
    case 'tap':
      interfaceField(object, kind.tap.name);
      break;
    case 'managed':
    case 'none':
  }
  return { kind };
};

const hostField = (object: string, host: string): void => {
  if (host === '') throw refuse(object, 'HOST_MISSING', 'the endpoint needs a host: megrez host list shows them');
  validateName('host', host, object);
};

const endpointName = ({ vpc, subnet, name }: { vpc: string; subnet: string; name: string }): string => {
  const object = objectName.endpoint(vpc, subnet, name);
  validateName('vpc', vpc, object);
  validateName('subnet', subnet, object);
  validateName('endpoint', name, object);
  return object;
};
