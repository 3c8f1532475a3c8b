import type { Address } from '../address';
import {
  Affinity,
  type CreateServiceRequest,
  type DeleteServiceRequest,
  type GetServiceRequest,
  type ListServicesRequest,
  Protocol,
  Refusal,
  ServiceBackend,
  type ServicePort,
  type UpdateServiceRequest,
} from '../gen/megrez/v1/service';
import { limits } from '../limits';
import { objectName, validateName } from '../names';
import { addressField, pageField, refuse, requestIdField, weightField } from './fields';

/** What a service is to be: every port with its target and protocol, every backend with its subnet. */
export interface ServiceFields {
  readonly ports: readonly ServicePort[];
  /** Nothing of them is filled in that is output only. */
  readonly backends: readonly ServiceBackend[];
}

/** All functions here throw MegrezError INVALID_ARGUMENT. An absent address is the controller's choice. */
export const validateCreateService = (
  request: CreateServiceRequest,
): ServiceFields & { readonly ip: Address | undefined } => {
  const object = serviceName(request);
  requestIdField(object, request.requestId);
  affinityFields(object, request);
  return { ...serviceFields(object, request), ip: request.ip === '' ? undefined : addressField(object, request.ip) };
};

/** Whether an affinity's timeout has an affinity is left to who knows the service's present one: checkAffinity. */
export const validateUpdateService = (request: UpdateServiceRequest): ServiceFields => {
  const object = serviceName(request);
  timeFields(object, request);
  return serviceFields(object, request);
};

/** For Get and Delete. */
export const validateServiceName = (request: GetServiceRequest | DeleteServiceRequest): void => {
  serviceName(request);
};

/** The page size. */
export const validateListServices = (request: ListServicesRequest): number => {
  if (request.vpc !== '') validateName('vpc', request.vpc);
  if (request.subnet !== '') {
    if (request.vpc === '') throw refuse('services', 'NAME_MISSING', `subnet ${request.subnet} of which vpc?`);
    validateName('subnet', request.subnet, objectName.subnet(request.vpc, request.subnet));
  }
  return pageField('services', request);
};

interface Affine {
  readonly affinity: Affinity;
  readonly affinityTimeoutMs: number;
}

/** @throws MegrezError INVALID_ARGUMENT / AFFINITY_MISSING for a timeout of what is not there */
export const checkAffinity = (object: string, { affinity, affinityTimeoutMs }: Affine): void => {
  if (affinityTimeoutMs === 0 || affinity === Affinity.CLIENT_IP) return;
  throw refuse(object, 'AFFINITY_MISSING', 'an affinity timeout goes with the affinity client-ip');
};

const affinityFields = (object: string, fields: Affine & { drainMs: number; refusal: Refusal }): void => {
  timeFields(object, fields);
  checkAffinity(object, fields);
};

const timeFields = (
  object: string,
  {
    affinity,
    refusal,
    affinityTimeoutMs = 0,
    drainMs = 0,
  }: { affinity: Affinity; refusal: Refusal; affinityTimeoutMs?: number; drainMs?: number },
): void => {
  if (Affinity[affinity] === undefined) throw refuse(object, 'INVALID_AFFINITY', `${affinity} is no kind of affinity`);
  if (Refusal[refusal] === undefined) throw refuse(object, 'INVALID_REFUSAL', `${refusal} is no kind of refusal`);
  for (const [what, ms] of [
    ['affinity timeout', affinityTimeoutMs],
    ['drain', drainMs],
  ] as const) {
    if (ms <= limits.flow_ms) continue;
    throw refuse(object, 'INVALID_DURATION', `the ${what} is at most ${limits.flow_ms} ms, not ${ms}`);
  }
};

const serviceFields = (
  object: string,
  { subnet, ports, backends }: { subnet: string; ports: readonly ServicePort[]; backends: readonly ServiceBackend[] },
): ServiceFields => ({ ports: portsField(object, ports), backends: backendsField(object, subnet, backends) });

const portsField = (object: string, ports: readonly ServicePort[]): readonly ServicePort[] => {
  if (ports.length === 0) throw refuse(object, 'PORT_MISSING', 'the service needs a port, e.g. 80:8080/tcp');
  if (ports.length > limits.service_ports) {
    throw refuse(object, 'TOO_MANY_PORTS', `a service has at most ${limits.service_ports} ports, not ${ports.length}`);
  }
  const seen = new Set<string>();
  return ports.map(({ listen, target, protocol }) => {
    if (Protocol[protocol] === undefined) throw refuse(object, 'INVALID_PROTOCOL', `${protocol} is no protocol`);
    for (const port of [listen, target || listen]) {
      if (port < 1 || port > 65_535) throw refuse(object, 'INVALID_PORT', `${port} is not a port: 1 to 65535`);
    }
    const known = protocol === Protocol.UDP ? Protocol.UDP : Protocol.TCP;
    const id = `${listen}/${Protocol[known].toLowerCase()}`;
    if (seen.has(id)) throw refuse(object, 'DUPLICATE_PORT', `port ${id} is named twice`);
    seen.add(id);
    return { listen, target: target || listen, protocol: known };
  });
};

const backendsField = (object: string, own: string, backends: readonly ServiceBackend[]): readonly ServiceBackend[] => {
  if (backends.length > limits.service_backends) {
    throw refuse(
      object,
      'TOO_MANY_BACKENDS',
      `a service has at most ${limits.service_backends} backends, not ${backends.length}`,
    );
  }
  const seen = new Set<string>();
  return backends.map(({ subnet: named, endpoint, weight }) => {
    const subnet = named === '' ? own : named;
    validateName('subnet', subnet, object);
    validateName('endpoint', endpoint, object);
    weightField(object, weight);
    const id = `${subnet}/${endpoint}`;
    if (seen.has(id)) throw refuse(object, 'DUPLICATE_BACKEND', `backend ${id} is named twice`);
    seen.add(id);
    return ServiceBackend.create({ subnet, endpoint, weight });
  });
};

const serviceName = ({ vpc, subnet, name }: { vpc: string; subnet: string; name: string }): string => {
  const object = objectName.service(vpc, subnet, name);
  validateName('vpc', vpc, object);
  validateName('subnet', subnet, object);
  validateName('service', name, object);
  return object;
};
