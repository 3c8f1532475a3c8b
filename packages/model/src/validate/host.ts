import type { Address } from '../address';
import type { DeleteHostRequest, GetHostRequest, ListHostsRequest, UpdateHostRequest } from '../gen/megrez/v1/host';
import type { ResolveRequest } from '../gen/megrez/v1/lookup';
import type { Hello } from '../gen/megrez/v1/node';
import { objectName, validateName } from '../names';
import { addressField, pageField, refuse, weightField } from './fields';

/** For Get and Delete. All functions here throw MegrezError INVALID_ARGUMENT. */
export const validateHostName = (request: GetHostRequest | DeleteHostRequest): void => {
  validateName('host', request.name);
};

export const validateUpdateHost = (request: UpdateHostRequest): void => {
  validateName('host', request.name);
  const object = objectName.host(request.name);
  weightField(object, request.weight);
  zoneField(object, request.zone);
};

/** The page size. */
export const validateListHosts = (request: ListHostsRequest): number => pageField('hosts', request);

/** What an agent says about its host. Returns the underlay address. */
export const validateHello = (hello: Hello): Address => {
  validateName('host', hello.host);
  const object = objectName.host(hello.host);
  weightField(object, hello.weight);
  zoneField(object, hello.zone);
  if (hello.incarnation === '') throw refuse(object, 'INCARNATION_MISSING', 'the agent sent no incarnation');
  return addressField(object, hello.address);
};

/** Returns the address that is asked about. */
export const validateResolve = (request: ResolveRequest): Address => {
  validateName('vpc', request.vpc);
  return addressField(objectName.vpc(request.vpc), request.ip);
};

const zoneField = (object: string, zone: string): void => {
  if (zone !== '') validateName('zone', zone, object);
};
