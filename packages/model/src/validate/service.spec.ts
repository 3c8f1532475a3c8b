import { describe, expect, test } from 'vitest';
import {
  Affinity,
  CreateServiceRequest,
  ListServicesRequest,
  limits,
  Protocol,
  parseAddress,
  Refusal,
  ServiceBackend,
  type ServicePort,
  UpdateServiceRequest,
} from '../index';
import * as validate from './index';

/** Values of a later version. */
const later = CreateServiceRequest.fromJson({ affinity: 3, refusal: 3, ports: [{ listen: 80, protocol: 3 }] });
const object = 'service acme/web/shop';
const named = { vpc: 'acme', subnet: 'web', name: 'shop' };
const port = (listen: number, target = 0, protocol = Protocol.UNSPECIFIED): ServicePort => ({
  listen,
  target,
  protocol,
});
const backend = (endpoint: string, subnet = '', weight = 0): ServiceBackend =>
  ServiceBackend.create({ endpoint, subnet, weight });

const create = (fields: Partial<CreateServiceRequest>) => () =>
  validate.validateCreateService(CreateServiceRequest.create({ ...named, ports: [port(80)], ...fields }));
const update = (fields: Partial<UpdateServiceRequest>) => () =>
  validate.validateUpdateService(UpdateServiceRequest.create({ ...named, ports: [port(80)], ...fields }));

test('a good one says everything that was left out', () => {
  const fields = create({
    ip: '10.0.1.9',
    ports: [port(80, 8080, Protocol.TCP), port(53, 0, Protocol.UDP), port(53)],
    backends: [backend('a'), ServiceBackend.create({ ...backend('a', 'db', 7), ip: '10.0.9.9', number: 3 })],
    affinity: Affinity.CLIENT_IP,
    affinityTimeoutMs: 1_000,
    refusal: Refusal.DROP,
  })();
  expect(fields).toEqual({
    ip: parseAddress('10.0.1.9'),
    ports: [port(80, 8080, Protocol.TCP), port(53, 53, Protocol.UDP), port(53, 53, Protocol.TCP)],
    backends: [backend('a', 'web'), backend('a', 'db', 7)],
  });
  expect(create({})()).toEqual({ ip: undefined, ports: [port(80, 80, Protocol.TCP)], backends: [] });
  expect(update({ affinityTimeoutMs: 5 })()).toEqual({ ports: [port(80, 80, Protocol.TCP)], backends: [] });
});

const many = (count: number): ServiceBackend[] => Array.from({ length: count }, (_, i) => backend(`e${i}`));
const day = limits.flow_ms;

test.each([
  ['no name', create({ name: '' }), 'NAME_MISSING', 'service acme/web/'],
  ['bad name', create({ name: 'Shop' }), 'INVALID_NAME', 'service acme/web/Shop'],
  ['bad subnet', create({ subnet: 'W' }), 'INVALID_NAME', 'service acme/W/shop'],
  ['bad address', create({ ip: '10.0.1' }), 'INVALID_ADDRESS', object],
  ['bad request id', create({ requestId: 'a b' }), 'INVALID_REQUEST_ID', object],
  ['no port', create({ ports: [] }), 'PORT_MISSING', object],
  ['port 0', create({ ports: [port(0, 80)] }), 'INVALID_PORT', object],
  ['port too high', create({ ports: [port(65_536)] }), 'INVALID_PORT', object],
  ['target too high', create({ ports: [port(80, 65_536)] }), 'INVALID_PORT', object],
  ['a port twice', create({ ports: [port(80, 1), port(80, 2, Protocol.TCP)] }), 'DUPLICATE_PORT', object],
  ['another protocol', create({ ports: later.ports }), 'INVALID_PROTOCOL', object],
  ['33 ports', create({ ports: Array.from({ length: 33 }, (_, i) => port(i + 1)) }), 'TOO_MANY_PORTS', object],
  ['64 backends', create({ backends: many(64) }), 'TOO_MANY_BACKENDS', object],
  ['a backend twice', create({ backends: [backend('a'), backend('a', 'web')] }), 'DUPLICATE_BACKEND', object],
  ['a backend without a name', create({ backends: [backend('')] }), 'NAME_MISSING', object],
  ['a backend of a bad subnet', create({ backends: [backend('a', 'W')] }), 'INVALID_NAME', object],
  ['too heavy', create({ backends: [backend('a', '', 10_001)] }), 'INVALID_WEIGHT', object],
  ['another affinity', create({ affinity: later.affinity }), 'INVALID_AFFINITY', object],
  ['another refusal', create({ refusal: later.refusal }), 'INVALID_REFUSAL', object],
  ['a timeout of no affinity', create({ affinityTimeoutMs: 1 }), 'AFFINITY_MISSING', object],
  ['too long a drain', create({ drainMs: day + 1 }), 'INVALID_DURATION', object],
  ['update: too long a timeout', update({ affinityTimeoutMs: day + 1 }), 'INVALID_DURATION', object],
  ['update: no port', update({ ports: [] }), 'PORT_MISSING', object],
  ['update: a backend twice', update({ backends: [backend('a'), backend('a')] }), 'DUPLICATE_BACKEND', object],
])('%s', (_what, call, reason, about) => {
  expect(call).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', reason, object: about }));
});

describe('lists', () => {
  const list = (fields: Partial<ListServicesRequest>) => () =>
    validate.validateListServices(ListServicesRequest.create(fields));
  test('have pages', () => expect(list({ vpc: 'acme', subnet: 'web', pageSize: 7 })()).toBe(7));
  test('of a subnet need its VPC', () => expect(list({ subnet: 'web' })).toThrow('of which vpc?'));
  test('are not endless', () => expect(list({ pageSize: 1_001 })).toThrow('at most 1000'));
});
