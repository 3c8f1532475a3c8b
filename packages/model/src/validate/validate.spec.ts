import { describe, expect, test } from 'vitest';
import {
  type Attachment,
  BatchCreateEndpointsRequest,
  CreateEndpointRequest,
  CreateSubnetRequest,
  CreateVpcRequest,
  DeleteEndpointRequest,
  GetEndpointRequest,
  GetHostRequest,
  Hello,
  ListEndpointsRequest,
  ListHostsRequest,
  ListSubnetsRequest,
  ListVpcsRequest,
  limits,
  MoveEndpointRequest,
  parseAddress,
  parseCidr,
  ResolveRequest,
  UpdateHostRequest,
  UpdateSubnetRequest,
  UpdateVpcRequest,
} from '../index';
import * as validate from './index';

/** Each row: what is wrong, the call, the reason, the object, and (part of) the message. */
type Row = readonly [what: string, call: () => unknown, reason: string, object: string, message?: string];

const refused = (rows: readonly Row[]): void => {
  test.each(rows)('%s', (_what, call, reason, object, message = '') => {
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', reason, object }));
    expect(call).toThrow(message);
  });
};

const vpc = (fields: Partial<CreateVpcRequest>) => () =>
  validate.validateCreateVpc(CreateVpcRequest.create({ name: 'acme', cidrs: ['10.0.0.0/16'], ...fields }));

describe('vpc', () => {
  test('a good one gives its prefixes', () => {
    expect(vpc({ cidrs: ['10.0.0.0/16', 'fd00::/48'], dividers: 64, requestId: 'r-1' })()).toEqual({
      cidrs: [parseCidr('10.0.0.0/16'), parseCidr('fd00::/48')],
    });
    expect(vpc({ cidrs: ['10.0.0.0/8'] })().cidrs).toHaveLength(1);
    expect(vpc({ cidrs: ['10.0.0.0/28'] })().cidrs).toHaveLength(1);
  });
  refused([
    ['no name', vpc({ name: '' }), 'NAME_MISSING', 'vpc'],
    ['bad name', vpc({ name: 'Acme' }), 'INVALID_NAME', 'vpc Acme'],
    ['no cidr', vpc({ cidrs: [] }), 'CIDR_MISSING', 'vpc acme'],
    ['no cidr text', vpc({ cidrs: [''] }), 'INVALID_CIDR', 'vpc acme'],
    ['host bits', vpc({ cidrs: ['10.0.0.1/16'] }), 'CIDR_HOST_BITS', 'vpc acme', 'the network is 10.0.0.0/16'],
    ['too wide', vpc({ cidrs: ['10.0.0.0/7'] }), 'CIDR_LENGTH', 'vpc acme', '/8 to /28'],
    ['too narrow', vpc({ cidrs: ['10.0.0.0/29'] }), 'CIDR_LENGTH', 'vpc acme', '/8 to /28'],
    ['too wide, IPv6', vpc({ cidrs: ['fd00::/31'] }), 'CIDR_LENGTH', 'vpc acme', '/32 to /120'],
    ['two of a family', vpc({ cidrs: ['10.0.0.0/16', '10.1.0.0/16'] }), 'CIDR_FAMILY', 'vpc acme'],
    ['loopback', vpc({ cidrs: ['127.0.0.0/16'] }), 'CIDR_RESERVED', 'vpc acme', 'loopback'],
    ['multicast', vpc({ cidrs: ['224.1.0.0/16'] }), 'CIDR_RESERVED', 'vpc acme', 'multicast'],
    ['link-local', vpc({ cidrs: ['169.254.1.0/24'] }), 'CIDR_RESERVED', 'vpc acme', 'link-local'],
    ['this network', vpc({ cidrs: ['0.0.0.0/8'] }), 'CIDR_RESERVED', 'vpc acme'],
    ['link-local, IPv6', vpc({ cidrs: ['fe80::/64'] }), 'CIDR_RESERVED', 'vpc acme'],
    ['unspecified, IPv6', vpc({ cidrs: ['::/64'] }), 'CIDR_RESERVED', 'vpc acme'],
    ['dividers', vpc({ dividers: 65 }), 'TOO_MANY_DIVIDERS', 'vpc acme', 'at most 64'],
    ['request id', vpc({ requestId: 'x'.repeat(129) }), 'INVALID_REQUEST_ID', 'vpc acme'],
    ['request id with a space', vpc({ requestId: 'a b' }), 'INVALID_REQUEST_ID', 'vpc acme'],
    [
      'update: dividers',
      () => validate.validateUpdateVpc(UpdateVpcRequest.create({ name: 'acme', dividers: 65 })),
      'TOO_MANY_DIVIDERS',
      'vpc acme',
    ],
    ['get: name', () => validate.validateVpcName({ name: 'a/b' }), 'INVALID_NAME', 'vpc a/b'],
    [
      'list: page size',
      () => validate.validateListVpcs(ListVpcsRequest.create({ pageSize: 1001 })),
      'INVALID_PAGE_SIZE',
      'vpcs',
    ],
    [
      'list: page token',
      () => validate.validateListVpcs(ListVpcsRequest.create({ pageToken: 'x'.repeat(1025) })),
      'INVALID_PAGE_TOKEN',
      'vpcs',
    ],
  ]);
});

const subnet = (fields: Partial<CreateSubnetRequest>) => () =>
  validate.validateCreateSubnet(
    CreateSubnetRequest.create({ vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], ...fields }),
  );
const inVpc = (cidrs: string[]) => () =>
  validate.checkSubnetInVpc('subnet acme/web', cidrs.map(parseCidr), {
    name: 'acme',
    cidrs: ['10.0.0.0/16', 'fd00::/48'],
  });
const others = [
  { vpc: 'acme', name: 'db', cidrs: ['10.0.2.0/24', 'fd00:0:0:2::/64'] },
  { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'] },
];
const overlap = (cidrs: string[]) => () => validate.checkSubnetOverlap('subnet acme/new', cidrs.map(parseCidr), others);

describe('subnet', () => {
  test('good ones', () => {
    expect(subnet({ bouncers: 2, bouncerHosts: ['h1', 'h2'] })()).toEqual({ cidrs: [parseCidr('10.0.1.0/24')] });
    expect(subnet({ bouncerHosts: ['h3'] })().cidrs).toHaveLength(1);
    expect(subnet({ cidrs: ['10.0.1.0/29'] })().cidrs).toHaveLength(1);
    expect(inVpc(['10.0.0.0/16', 'fd00:0:0:1::/64'])).not.toThrow();
    expect(overlap(['10.0.3.0/24', 'fd00:0:0:3::/64'])).not.toThrow();
  });
  test.each([['10.0.2.0/24'], ['10.0.2.128/25'], ['10.0.0.0/16'], ['fd00:0:0:2::/80']])('%s overlaps', (cidr) => {
    expect(overlap([cidr])).toThrow(
      expect.objectContaining({ code: 'FAILED_PRECONDITION', reason: 'CIDR_OVERLAP', object: 'subnet acme/new' }),
    );
    expect(overlap([cidr])).toThrow('of subnet acme/db');
  });
  refused([
    ['no name', subnet({ name: '' }), 'NAME_MISSING', 'subnet acme/'],
    ['bad vpc', subnet({ vpc: 'A' }), 'INVALID_NAME', 'subnet A/web'],
    ['no cidr', subnet({ cidrs: [] }), 'CIDR_MISSING', 'subnet acme/web'],
    ['host bits', subnet({ cidrs: ['10.0.1.5/24'] }), 'CIDR_HOST_BITS', 'subnet acme/web', '10.0.1.0/24'],
    ['too narrow', subnet({ cidrs: ['10.0.1.0/30'] }), 'CIDR_LENGTH', 'subnet acme/web', '/8 to /29'],
    ['bouncers', subnet({ bouncers: 65 }), 'TOO_MANY_BOUNCERS', 'subnet acme/web', 'at most 64'],
    ['bouncer host', subnet({ bouncerHosts: ['H3'] }), 'INVALID_NAME', 'subnet acme/web'],
    ['bouncer host twice', subnet({ bouncerHosts: ['h3', 'h3'] }), 'DUPLICATE_HOST', 'subnet acme/web'],
    [
      'too many hosts',
      subnet({ bouncers: 1, bouncerHosts: ['h2', 'h3'] }),
      'TOO_MANY_BOUNCER_HOSTS',
      'subnet acme/web',
    ],
    ['request id', subnet({ requestId: 'é' }), 'INVALID_REQUEST_ID', 'subnet acme/web'],
    ['outside', inVpc(['10.1.0.0/24']), 'CIDR_OUTSIDE_VPC', 'subnet acme/web', 'vpc acme (10.0.0.0/16, fd00::/48)'],
    ['around', inVpc(['10.0.0.0/15']), 'CIDR_OUTSIDE_VPC', 'subnet acme/web'],
    ['other family', inVpc(['fd01::/64']), 'CIDR_OUTSIDE_VPC', 'subnet acme/web'],
    [
      'update: bouncers',
      () => validate.validateUpdateSubnet(UpdateSubnetRequest.create({ vpc: 'acme', name: 'web', bouncers: 65 })),
      'TOO_MANY_BOUNCERS',
      'subnet acme/web',
    ],
    ['get: name', () => validate.validateSubnetName({ vpc: 'acme', name: '?' }), 'INVALID_NAME', 'subnet acme/?'],
    ['list: vpc', () => validate.validateListSubnets(ListSubnetsRequest.create({ vpc: '-' })), 'INVALID_NAME', 'vpc -'],
    ['vni 0', () => validate.validateVni('vpc acme', 0), 'INVALID_VNI', 'vpc acme'],
    ['vni 2^24', () => validate.validateVni('vpc acme', 2 ** 24), 'INVALID_VNI', 'vpc acme'],
  ]);
});

const object = 'endpoint acme/web/a';
const names = { vpc: 'acme', subnet: 'web', name: 'a' };
const endpoint = (fields: Partial<CreateEndpointRequest>) => () =>
  validate.validateCreateEndpoint(CreateEndpointRequest.create({ ...names, host: 'h1', ...fields }));
const netns = (path: string, name = ''): Attachment => ({
  kind: { oneofKind: 'netns', netns: { path, interface: name } },
});
const tap = (name: string): Attachment => ({ kind: { oneofKind: 'tap', tap: { name } } });
const address = (ip: string) => () =>
  validate.checkEndpointAddress(object, parseAddress(ip), {
    vpc: 'acme',
    name: 'web',
    cidrs: ['10.0.1.0/24', 'fd00::/64'],
  });

describe('endpoint', () => {
  test('what is absent gets its default', () => {
    expect(endpoint({})()).toEqual({
      ip4: undefined,
      ip6: undefined,
      mac: undefined,
      attachment: { kind: { oneofKind: 'managed', managed: {} } },
      timeout_ms: limits.timeout_ms.default,
    });
    expect(endpoint({ attachment: { kind: { oneofKind: undefined } } })().attachment.kind.oneofKind).toBe('managed');
  });
  test('what is given is parsed', () => {
    const fields = endpoint({
      ip: '10.0.1.7,fd00::7',
      mac: '02:00:00:00:00:07',
      attachment: netns('/proc/77/ns/net', 'eth1'),
      timeoutMs: 5,
    })();
    expect(fields).toEqual({
      ip4: parseAddress('10.0.1.7'),
      ip6: parseAddress('fd00::7'),
      mac: Uint8Array.of(2, 0, 0, 0, 0, 7),
      attachment: netns('/proc/77/ns/net', 'eth1'),
      timeout_ms: 5,
    });
    expect(endpoint({ attachment: tap('tap0') })().attachment).toEqual(tap('tap0'));
    expect(endpoint({ attachment: { kind: { oneofKind: 'none', none: {} } } })().attachment.kind.oneofKind).toBe(
      'none',
    );
  });
  test.each(['10.0.1.2', '10.0.1.254', 'fd00::2', 'fd00::ffff:ffff:ffff:ffff'])('%s fits', (ip) => {
    expect(address(ip)().text).toBe(ip.includes(':') ? 'fd00::/64' : '10.0.1.0/24');
  });
  test('list: a page has 1,000 unless less is asked for', () => {
    expect(validate.validateListEndpoints(ListEndpointsRequest.create({}))).toBe(1000);
    expect(validate.validateListEndpoints(ListEndpointsRequest.create({ vpc: 'acme', pageSize: 7 }))).toBe(7);
  });
  refused([
    ['no name', endpoint({ name: '' }), 'NAME_MISSING', 'endpoint acme/web/'],
    ['bad subnet', endpoint({ subnet: 'W' }), 'INVALID_NAME', 'endpoint acme/W/a'],
    ['no host', endpoint({ host: '' }), 'HOST_MISSING', object],
    ['bad host', endpoint({ host: 'h/1' }), 'INVALID_NAME', object],
    ['two of a family', endpoint({ ip: '10.0.1.7,10.0.1.8' }), 'ADDRESS_FAMILY', object],
    ['bad second ip', endpoint({ ip: '10.0.1.7,' }), 'INVALID_ADDRESS', object],
    ['bad ip', endpoint({ ip: '10.0.1' }), 'INVALID_ADDRESS', object],
    ['mapped ip', endpoint({ ip: '::ffff:10.0.1.7' }), 'INVALID_ADDRESS', object, 'write it as 10.0.1.7'],
    ['bad mac', endpoint({ mac: '02:00' }), 'INVALID_MAC', object],
    ['multicast mac', endpoint({ mac: '03:00:00:00:00:07' }), 'INVALID_MAC', object],
    ["the gateway's mac", endpoint({ mac: '02:4D:67:77:00:01' }), 'INVALID_MAC', object, 'gateway'],
    ['request id', endpoint({ requestId: '\n' }), 'INVALID_REQUEST_ID', object],
    ['timeout', endpoint({ timeoutMs: 600_001 }), 'INVALID_TIMEOUT', object],
    ['relative path', endpoint({ attachment: netns('run/netns/a') }), 'INVALID_PATH', object],
    ['empty path', endpoint({ attachment: netns('') }), 'INVALID_PATH', object],
    ['path with ..', endpoint({ attachment: netns('/run/../etc') }), 'INVALID_PATH', object],
    ['path with NUL', endpoint({ attachment: netns('/run/a\0b') }), 'INVALID_PATH', object],
    ['long path', endpoint({ attachment: netns(`/${'a'.repeat(4095)}`) }), 'INVALID_PATH', object],
    [
      'interface',
      endpoint({ attachment: netns('/run/netns/a', 'sixteen-letters-') }),
      'INVALID_INTERFACE_NAME',
      object,
    ],
    ['no tap name', endpoint({ attachment: tap('') }), 'INVALID_INTERFACE_NAME', object],
    ['tap name with /', endpoint({ attachment: tap('a/b') }), 'INVALID_INTERFACE_NAME', object],
    ['tap name ..', endpoint({ attachment: tap('..') }), 'INVALID_INTERFACE_NAME', object],
    ['tap name with a space', endpoint({ attachment: tap('a b') }), 'INVALID_INTERFACE_NAME', object],
    ['outside', address('10.0.2.7'), 'ADDRESS_OUTSIDE_SUBNET', object, 'subnet acme/web (10.0.1.0/24, fd00::/64)'],
    ['network', address('10.0.1.0'), 'ADDRESS_IS_NETWORK', object],
    ['gateway', address('10.0.1.1'), 'ADDRESS_IS_GATEWAY', object],
    ['broadcast', address('10.0.1.255'), 'ADDRESS_IS_BROADCAST', object],
    ['network, IPv6', address('fd00::'), 'ADDRESS_IS_NETWORK', object],
    ['gateway, IPv6', address('fd00::1'), 'ADDRESS_IS_GATEWAY', object],
    [
      'get',
      () => validate.validateGetEndpoint(GetEndpointRequest.create({ ...names, name: '' })),
      'NAME_MISSING',
      'endpoint acme/web/',
    ],
    [
      'delete: timeout',
      () => validate.validateDeleteEndpoint(DeleteEndpointRequest.create({ ...names, timeoutMs: 2 ** 31 })),
      'INVALID_TIMEOUT',
      object,
    ],
    ['move: no host', () => validate.validateMoveEndpoint(MoveEndpointRequest.create(names)), 'HOST_MISSING', object],
    [
      'list: subnet of no vpc',
      () => validate.validateListEndpoints(ListEndpointsRequest.create({ subnet: 'web' })),
      'NAME_MISSING',
      'endpoints',
    ],
    [
      'list: host',
      () => validate.validateListEndpoints(ListEndpointsRequest.create({ host: '?' })),
      'INVALID_NAME',
      'host ?',
    ],
    [
      'batch',
      () =>
        validate.validateBatchCreateEndpoints(
          BatchCreateEndpointsRequest.create({ requests: Array.from({ length: 1001 }, () => ({})) }),
        ),
      'BATCH_TOO_LARGE',
      'endpoints',
    ],
  ]);
});

const hello = (fields: Partial<Hello>) => () =>
  validate.validateHello(Hello.create({ host: 'h1', address: '172.16.0.1', incarnation: 'x', ...fields }));

describe('host', () => {
  test('a hello gives its underlay address', () => {
    expect(hello({})()).toEqual(parseAddress('172.16.0.1'));
    expect(hello({ address: 'fd00::1', zone: 'east-1', weight: 10_000 })()).toEqual(parseAddress('fd00::1'));
    expect(validate.validateResolve(ResolveRequest.create({ vpc: 'acme', ip: '10.0.1.7' }))).toEqual(
      parseAddress('10.0.1.7'),
    );
  });
  refused([
    ['no host', hello({ host: '' }), 'NAME_MISSING', 'host'],
    ['bad address', hello({ address: '172.16.0' }), 'INVALID_ADDRESS', 'host h1'],
    ['no incarnation', hello({ incarnation: '' }), 'INCARNATION_MISSING', 'host h1'],
    ['weight', hello({ weight: 10_001 }), 'INVALID_WEIGHT', 'host h1'],
    ['zone', hello({ zone: 'East' }), 'INVALID_NAME', 'host h1'],
    ['get', () => validate.validateHostName(GetHostRequest.create({ name: 'H' })), 'INVALID_NAME', 'host H'],
    [
      'update: weight',
      () => validate.validateUpdateHost(UpdateHostRequest.create({ name: 'h1', weight: 10_001 })),
      'INVALID_WEIGHT',
      'host h1',
    ],
    [
      'list: page size',
      () => validate.validateListHosts(ListHostsRequest.create({ pageSize: 5000 })),
      'INVALID_PAGE_SIZE',
      'hosts',
    ],
    [
      'resolve: ip',
      () => validate.validateResolve({ vpc: 'acme', ip: 'x', viaBouncer: false }),
      'INVALID_ADDRESS',
      'vpc acme',
    ],
    [
      'resolve: vpc',
      () => validate.validateResolve({ vpc: '', ip: '10.0.0.1', viaBouncer: false }),
      'NAME_MISSING',
      'vpc',
    ],
  ]);
});
