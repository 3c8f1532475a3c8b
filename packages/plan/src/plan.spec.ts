import {
  decodeEndpoint,
  decodeHolding,
  decodeMapping,
  decodePort,
  decodeSlotOwners,
  HoldingState,
  maps,
} from '@megrez/abi';
import { Endpoint, formatAddress, parseAddress, SlotState, type SlotTable, Subnet, Vpc } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { describe, expect, test } from 'vitest';
import {
  endpointKeys,
  keysOf,
  type PlanContext,
  plan,
  planConfig,
  planUnderlay,
  type Row,
  rowId,
  subnetFacts,
} from '.';

const web = Subnet.create({
  vpc: 'acme',
  name: 'web',
  cidrs: ['10.0.1.0/24'],
  gateways: ['10.0.1.1'],
  vni: 7,
  number: 3,
});
const meta = { generation: 0, requestId: '', createdAtMs: 0, deleting: false };
const a = Endpoint.create({
  meta: { generation: 40 },
  vpc: 'acme',
  subnet: 'web',
  name: 'a',
  host: 'h1',
  hostAddress: '192.168.0.1',
  ip: '10.0.1.7',
  mac: '02:4d:0a:00:01:07',
  vni: 7,
  subnetNumber: 3,
  slot: 9,
});
const context = (more: Partial<PlanContext> = {}): PlanContext => ({
  host: 'h1',
  subnet: () => subnetFacts(web),
  holds: () => false,
  holdsAny: () => false,
  interfaceOf: () => ({ ifindex: 12, mtu: 1386, veth: true }),
  ...more,
});
const endpointRows = (endpoint: Endpoint, more: Partial<PlanContext> = {}): readonly Row[] =>
  plan({ oneofKind: 'endpoint', endpoint }, context(more));
const of = (rows: readonly Row[], map: Row['map']): Row => {
  const found = rows.find((row) => row.map === map);
  if (found === undefined) throw new Error(`no row of ${map}`);
  return found;
};
const names = (rows: readonly Row[]): readonly string[] => rows.map(({ map }) => map);

describe('an endpoint of this host', () => {
  test('can be found after it can answer, and answers until it is not found any more', () => {
    const comes = names(endpointRows(a)).filter((map) => map === 'ports' || map === 'endpoints');
    expect(comes).toEqual(['ports', 'endpoints']);
    const goes = endpointKeys(7, parseAddress(a.ip), 12).map(({ map }) => map);
    expect(goes).toEqual(['mappings', 'endpoints', 'ports', 'budgets', 'traffic']);
    const moved = keysOf({ object: { oneofKind: 'endpoint', endpoint: a }, former: [] }, 12).map(({ map }) => map);
    expect(moved).toEqual(goes);
  });

  test('has a port, with what the datapath writes made beside it', () => {
    const rows = endpointRows(a);
    expect(names(rows)).toEqual(['budgets', 'traffic', 'ports', 'endpoints']);
    const port = decodePort(of(rows, 'ports').value);
    expect(formatAddress(port.ip4.network)).toBe('10.0.1.0');
    expect(formatAddress(port.ip4.gateway)).toBe('10.0.1.1');
    expect(Buffer.from(port.ip4.mask).toString('hex')).toBe('ffffffffffffffffffffffffffffff00');
    expect(port).toMatchObject({ vni: 7, subnet: 3, mtu: 1386, generation: 40 });
    expect(of(rows, 'traffic').kept).toBe(true);
    expect(of(rows, 'budgets').kept).toBe(true);
    expect(decodeEndpoint(of(rows, 'endpoints').value)).toMatchObject({ ifindex: 12, flags: 1, generation: 40 });
  });

  test('is a mapping too when this host holds its slot', () => {
    const rows = endpointRows(a, { holds: (vni, subnet, slot) => vni === 7 && subnet === 3 && slot === 9 });
    expect(formatAddress(decodeMapping(of(rows, 'mappings').value).host)).toBe('192.168.0.1');
  });

  test('on a tap has no peer to deliver into', () => {
    const rows = endpointRows(a, { interfaceOf: () => ({ ifindex: 5, mtu: 1386, veth: false }) });
    expect(decodeEndpoint(of(rows, 'endpoints').value).flags).toBe(0);
  });

  test('cannot be found before it has an interface, and only its address is known when it wants none', () => {
    expect(endpointRows(a, { interfaceOf: () => undefined })).toEqual([]);
    const rows = endpointRows({ ...a, attachment: { kind: { oneofKind: 'none', none: {} } } });
    expect(names(rows)).toEqual(['endpoints']);
    expect(decodeEndpoint(of(rows, 'endpoints').value).ifindex).toBe(0);
  });
});

test('an endpoint of another host is a mapping and nothing else', () => {
  const foreign = { ...a, host: 'h2', hostAddress: '192.168.0.2' };
  expect(endpointRows(foreign)).toEqual([]);
  // Whose table is not known yet is told of because its slot is ours.
  expect(names(endpointRows(foreign, { holds: () => undefined }))).toEqual(['mappings']);
  const rows = endpointRows(foreign, { holds: (_vni, _subnet, slot) => slot === a.slot });
  expect(names(rows)).toEqual(['mappings']);
  expect(decodeMapping(of(rows, 'mappings').value)).toEqual({
    host: parseAddress('192.168.0.2'),
    generation: 40,
    mac: Uint8Array.of(2, 0x4d, 10, 0, 1, 7),
  });
});

describe('an endpoint that moves', () => {
  const hosted = (rows: readonly Row[]): string => formatAddress(decodeMapping(of(rows, 'mappings').value).host);
  const holds = { holds: () => true };

  test('is here already when it comes to this host, while its mapping still says the old one', () => {
    const coming = { ...a, host: 'h2', hostAddress: '192.168.0.2', movingTo: 'h1' };
    const rows = endpointRows(coming, holds);
    expect(names(rows)).toEqual(['budgets', 'traffic', 'ports', 'endpoints', 'mappings']);
    expect(decodePort(of(rows, 'ports').value).generation).toBe(40);
    expect(hosted(rows)).toBe('192.168.0.2');
  });

  test('stays as it is at the host it leaves, older than at the new one', () => {
    const left = { ...a, host: 'h2', hostAddress: '192.168.0.2', movedFrom: 'h1' };
    const rows = endpointRows({ ...left, attachment: { kind: { oneofKind: 'none', none: {} } } }, holds);
    expect(names(rows)).toEqual(['budgets', 'traffic', 'ports', 'endpoints', 'mappings']);
    expect(decodePort(of(rows, 'ports').value).generation).toBe(39);
    expect(decodeEndpoint(of(rows, 'endpoints').value)).toMatchObject({ ifindex: 12, generation: 39 });
    expect(decodeMapping(of(rows, 'mappings').value).generation).toBe(40);
    expect(hosted(rows)).toBe('192.168.0.2');
    expect(names(endpointRows({ ...left, movedFrom: '' }, holds))).toEqual(['mappings']);
  });
});

test('an endpoint of both families has a port with both, and rows for each address', () => {
  const dual = Subnet.create({
    ...web,
    cidrs: ['10.0.1.0/24', 'fd00:1::/64'],
    gateways: ['10.0.1.1', 'fd00:1::1'],
  });
  const ip6 = 'fd00:1::7';
  const slot6 = slotOf(a.vni, parseAddress(ip6));
  const held: number[] = [];
  const rows = endpointRows(
    { ...a, ip6 },
    { subnet: () => subnetFacts(dual), holds: (_vni, _subnet, slot) => held.push(slot) > 0 && slot === slot6 },
  );
  expect(held).toEqual([a.slot, slot6]);
  const port = decodePort(of(rows, 'ports').value);
  expect([port.ip4.ip, port.ip6.ip, port.ip6.gateway, port.ip6.network].map(formatAddress)).toEqual([
    '10.0.1.7',
    ip6,
    'fd00:1::1',
    'fd00:1::',
  ]);
  const addressesIn = (map: 'endpoints' | 'mappings') =>
    rows.flatMap((one) => (one.map === map ? [formatAddress(maps[map].key.decode(one.key).ip)] : []));
  expect(addressesIn('endpoints')).toEqual(['10.0.1.7', ip6]);
  expect(addressesIn('mappings')).toEqual([ip6]);
  // Without a prefix of that family there is nothing to serve it with.
  expect(names(endpointRows({ ...a, ip6 })).filter((name) => name === 'endpoints').length).toBe(1);
  // An endpoint of IPv6 alone.
  const alone = endpointRows({ ...a, ip: ip6 }, { subnet: () => subnetFacts(dual) });
  const only = decodePort(of(alone, 'ports').value);
  expect([formatAddress(only.ip6.ip), only.ip4.ip.every((byte) => byte === 0)]).toEqual([ip6, true]);
});

test('a subnet is a route per prefix, longer ones longer', () => {
  const subnet = { ...web, cidrs: ['10.0.1.0/24', 'fd00:1::/64'], meta: { ...meta, generation: 6 } };
  const rows = plan({ oneofKind: 'subnet', subnet }, context());
  expect(rows.map(({ key }) => maps.routes.key.decode(key))).toEqual([
    { length: 152, vni: 7, address: parseAddress('10.0.1.0') },
    { length: 96, vni: 7, address: parseAddress('fd00:1::') },
  ]);
  expect(rows.map(({ value }) => maps.routes.value.decode(value))).toMatchObject([
    { subnet: 3, generation: 6 },
    { subnet: 3, generation: 6 },
  ]);
});

test('a VPC is a network', () => {
  const vpc = Vpc.create({ name: 'acme', vni: 7, meta: { generation: 5 } });
  expect(names(plan({ oneofKind: 'vpc', vpc }, context()))).toEqual(['networks']);
});

describe('a slot table', () => {
  const { LOADING, SERVING, LEAVING } = SlotState;
  const table = (...first: [number, SlotState][]): SlotTable => ({
    vni: 7,
    subnet: 3,
    epoch: 2,
    generation: 41,
    owners: ['h1', 'h2', 'h3'].map((host, i) => ({ host, address: `192.168.0.${i + 1}` })),
    slots: Array.from({ length: 256 }, (_, slot) => ({
      holders: (slot === 0 ? first : [[1, SERVING] as [number, SlotState]]).map(([owner, state]) => ({ owner, state })),
    })),
  });
  const asked = (...first: [number, SlotState][]): readonly string[] => {
    const rows = plan({ oneofKind: 'table', table: table(...first) }, context());
    const { primary, secondary } = decodeSlotOwners(of(rows, 'slots').value);
    return [primary, secondary].map((address) => (address.every((byte) => byte === 0) ? '-' : formatAddress(address)));
  };

  test.each([
    { holders: [[0, SERVING]], wants: ['192.168.0.1', '-'] },
    {
      holders: [
        [1, SERVING],
        [0, SERVING],
      ],
      wants: ['192.168.0.2', '192.168.0.1'],
    },
    {
      holders: [
        [0, LOADING],
        [1, SERVING],
        [2, SERVING],
      ],
      wants: ['192.168.0.2', '192.168.0.3'],
    },
    {
      holders: [
        [2, LEAVING],
        [0, SERVING],
        [1, SERVING],
      ],
      wants: ['192.168.0.1', '192.168.0.2'],
    },
    {
      holders: [
        [2, LEAVING],
        [0, SERVING],
      ],
      wants: ['192.168.0.1', '192.168.0.3'],
    },
    { holders: [[0, LOADING]], wants: ['-', '-'] },
  ] as { holders: [number, SlotState][]; wants: string[] }[])('of $holders asks $wants', ({ holders, wants }) => {
    expect(asked(...holders)).toEqual(wants);
  });

  test('says what this host holds', () => {
    const rows = plan({ oneofKind: 'table', table: table([1, SERVING], [0, LEAVING]) }, context());
    expect(rows.filter(({ map }) => map === 'slots').length).toBe(256);
    const holdings = rows.filter(({ map }) => map === 'holdings');
    expect(holdings.map(({ value }) => decodeHolding(value))).toEqual([
      { state: HoldingState.leaving, epoch: 2, generation: 41 },
    ]);
    expect(holdings.map(({ key }) => maps.holdings.key.decode(key))).toEqual([{ vni: 7, subnet: 3, slot: 0 }]);
  });
});

test('the table of a VPC’s dividers is a table like any other', () => {
  const dividers: SlotTable = {
    vni: 7,
    subnet: 0,
    epoch: 1,
    generation: 5,
    owners: [{ host: 'h1', address: '192.168.0.1' }],
    slots: Array.from({ length: 256 }, () => ({ holders: [{ owner: 0, state: SlotState.SERVING }] })),
  };
  const rows = plan({ oneofKind: 'table', table: dividers }, context());
  for (const map of ['slots', 'holdings'] as const) {
    const keys = rows.flatMap((one) => (one.map === map ? [maps[map].key.decode(one.key)] : []));
    expect([keys.length, new Set(keys.map(({ subnet }) => subnet))]).toEqual([256, new Set([0])]);
  }
});

test('the host itself', () => {
  const settings = {
    address: parseAddress('192.168.0.1'),
    nic: 2,
    onlink: { network: parseAddress('192.168.0.0'), mask: new Uint8Array(16).fill(0xff, 0, 14) },
    secret: new Uint8Array(16).fill(7),
    retry_ms: 500,
    negative_ms: 100,
    asks_per_s: 1_000,
    ask_burst: 1_000,
  };
  const [row] = planConfig(settings, { softLeaseMs: 300, hardLeaseMs: 0, checkMs: 60_000 });
  expect(maps.config.value.decode(row?.value ?? Buffer.alloc(0))).toEqual({
    self: settings.address,
    onlink_network: settings.onlink.network,
    onlink_mask: settings.onlink.mask,
    secret: settings.secret,
    soft_lease_ns: 300_000_000n,
    hard_lease_ns: 10_000_000_000n,
    check_ns: 60_000_000_000n,
    retry_ns: 500_000_000n,
    negative_ns: 100_000_000n,
    ask_interval_ns: 1_000_000n,
    ask_burst_ns: 1_000_000_000n,
    nic: 2,
  });
  const underlay = planUnderlay(['192.168.0.0/20', 'fd00::/8']);
  expect(underlay.map(({ key }) => maps.underlay.key.decode(key).length)).toEqual([116, 8]);
  expect(new Set(underlay.map(rowId)).size).toBe(2);
});
