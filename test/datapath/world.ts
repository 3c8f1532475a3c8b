/** The small world of the packet tests: one VPC, one subnet, three hosts; rows come from plan(), as in the agent. */
import { defaultMac, type Endpoint, formatMac, parseAddress, parseCidr, type SlotTable } from '@megrez/model';
import { type PlanContext, plan, planConfig, planUnderlay, type Row, row } from '@megrez/plan';
import { place, slotOf } from '@megrez/ring';
import { secretBytes } from './cookie';
import { arp, broadcastMac, ethernet, ethertype, zeroMac } from './frames';

export const vni = 7;
export const subnet = 1;
/** Where `d` is. */
export const otherSubnet = 2;
export const gateway = '10.0.1.1';
export const gatewayMac = '02:4d:67:77:00:01';
export const mtu = 1386;

export const hosts = {
  h1: '192.168.240.11',
  h2: '192.168.240.12',
  h3: '192.168.240.13',
  h4: '192.168.240.14',
} as const;
export type HostName = keyof typeof hosts;
/** Of each host's underlay interface. */
export const hostMac = (name: HostName): string => `02:00:00:00:00:0${name.slice(1)}`;

/** `a` and `c` are on h1, `b` on h2, `h` on h3; `x` is an address nobody has. `d` and `y` are the same in the other subnet. */
export const addresses = {
  a: '10.0.1.11',
  b: '10.0.1.12',
  c: '10.0.1.14',
  h: '10.0.1.15',
  x: '10.0.1.99',
  d: '10.0.2.21',
  y: '10.0.2.99',
} as const;
export type EndpointName = keyof typeof addresses;
export const macOf = (name: EndpointName): string => defaultMac(parseAddress(addresses[name]));

/** The address as rows hold it. */
export const addressOf = (name: EndpointName): Uint8Array => parseAddress(addresses[name]);

/** `a` asks for `target` by ARP. */
export const arpRequest = (target: EndpointName): Buffer =>
  ethernet(
    macOf('a'),
    broadcastMac,
    ethertype.arp,
    arp({ operation: 1, senderMac: macOf('a'), sender: addresses.a, targetMac: zeroMac, target: addresses[target] }),
  );

/** What `of` would answer `a`. */
export const arpReply = (of: EndpointName): Buffer =>
  ethernet(
    macOf(of),
    macOf('a'),
    ethertype.arp,
    arp({ operation: 2, senderMac: macOf(of), sender: addresses[of], targetMac: macOf('a'), target: addresses.a }),
  );

/** A test run's packets come from `lo`, the one interface every namespace has. */
export const port = 1;

export const endpoint = (name: EndpointName, host: HostName, generation = 5): Endpoint => ({
  meta: { generation, requestId: '', createdAtMs: 0, deleting: false },
  vpc: 'acme',
  subnet: 'web',
  name,
  host,
  ip: addresses[name],
  mac: macOf(name),
  attachment: { kind: { oneofKind: 'managed', managed: {} } },
  vni,
  subnetNumber: name === 'd' || name === 'y' ? otherSubnet : subnet,
  hostAddress: hosts[host],
  slot: slotOf(vni, parseAddress(addresses[name])),
  macChosen: false,
  movingTo: '',
  movedFrom: '',
  ip6: '',
});

export const table = (...owners: readonly HostName[]): SlotTable => tableOf(subnet, owners);

/** Of a subnet; of the VPC's dividers when `number` is 0. */
export const tableOf = (number: number, owners: readonly HostName[]): SlotTable => ({
  ...place({
    vni,
    subnet: number,
    hosts: owners.map((name) => ({ name, address: hosts[name], weight: 100, zone: '', eligible: true })),
    bouncers: owners.length,
    pinned: [],
  }),
  epoch: 3,
  generation: 4,
});

export interface Settings {
  readonly soft_ms?: number;
  readonly hard_ms?: number;
  readonly check_ms?: number;
  readonly asks_per_s?: number;
  readonly ask_burst?: number;
  readonly attached?: boolean;
  readonly nic?: number;
}

/** Everything host `self` holds: the subnet's table, its own endpoints (interface `ifindexOf`), its slots' mappings. */
export const hostRows = (
  self: HostName,
  owners: readonly HostName[],
  endpoints: readonly Endpoint[],
  settings: Settings = {},
  ifindexOf: (endpoint: Endpoint) => number = ({ name }) => (name === 'c' ? 2 : port),
): readonly Row[] => {
  const slots = table(...owners);
  const context: PlanContext = {
    host: self,
    subnet: () => ({ prefixes: [{ cidr: parseCidr('10.0.1.0/24'), gateway: parseAddress(gateway) }] }),
    holds: () => owners.includes(self),
    holdsAny: () => owners.includes(self),
    interfaceOf: (_, ip) => {
      const found = endpoints.find((one) => Buffer.compare(parseAddress(one.ip), ip) === 0);
      return found && { ifindex: ifindexOf(found), mtu, veth: true };
    },
  };
  const known = endpoints.filter(({ host }) => host === self || owners.includes(self));
  return [
    ...planConfig(
      {
        address: parseAddress(hosts[self]),
        nic: settings.nic ?? port,
        secret: secretBytes,
        retry_ms: 500,
        negative_ms: 100,
        asks_per_s: settings.asks_per_s ?? 1000,
        ask_burst: settings.ask_burst ?? 1000,
      },
      {
        softLeaseMs: settings.soft_ms ?? 5_000,
        hardLeaseMs: settings.hard_ms ?? 10_000,
        checkMs: settings.check_ms ?? 60_000,
      },
    ),
    ...planUnderlay(['192.168.240.0/24']),
    row('attached', 0, { until: settings.attached === false ? 1n : 1n << 62n }),
    ...plan({ oneofKind: 'vpc', vpc: { name: 'acme', cidrs: ['10.0.0.0/16'], vni, dividers: 1 } }, context),
    ...plan({ oneofKind: 'table', table: slots }, context),
    ...known.flatMap((one) => plan({ oneofKind: 'endpoint', endpoint: one }, context)),
    ...owners.filter((owner) => owner !== self).map((owner) => nextHopRow(self, owner)),
  ];
};

/** The other subnet's route, table and dividers, as far as host `self` knows them. */
export const otherRows = (
  self: HostName,
  known: { readonly dividers?: readonly HostName[]; readonly bouncers?: readonly HostName[] },
): readonly Row[] => {
  const context: PlanContext = {
    host: self,
    subnet: () => undefined,
    holds: () => false,
    holdsAny: () => false,
    interfaceOf: () => undefined,
  };
  const tables = [
    ...(known.dividers === undefined ? [] : [tableOf(0, known.dividers)]),
    ...(known.bouncers === undefined ? [] : [tableOf(otherSubnet, known.bouncers)]),
  ];
  return [
    ...tables.flatMap((table) => plan({ oneofKind: 'table', table }, context)),
    ...(known.bouncers === undefined ? [] : [routeRow('10.0.2.0', 24, otherSubnet)]),
    ...(known.bouncers?.includes(self) ? [mappingRow('d', 'h2')] : []),
    ...[...(known.dividers ?? []), ...(known.bouncers ?? [])]
      .filter((owner) => owner !== self)
      .map((owner) => nextHopRow(self, owner)),
  ];
};

export const routeRow = (network: string, length: number, number: number): Row =>
  row('routes', { length: 32 + 96 + length, vni, address: parseAddress(network) }, { subnet: number, generation: 4 });

export const mappingRow = (name: EndpointName, host: HostName, generation = 5): Row =>
  row(
    'mappings',
    { vni, ip: addressOf(name) },
    { host: parseAddress(hosts[host]), generation, mac: macBytes(macOf(name)) },
  );

/** An endpoint of this host, whatever its subnet. */
export const endpointRow = (name: EndpointName, ifindex: number): Row =>
  row('endpoints', { vni, ip: addressOf(name) }, { ifindex, flags: 1, generation: 5, mac: macBytes(macOf(name)) });

const nextHopRow = (self: HostName, owner: HostName): Row =>
  row(
    'next_hops',
    { host: parseAddress(hosts[owner]) },
    { ifindex: port, destination: macBytes(hostMac(owner)), source: macBytes(hostMac(self)) },
  );

/** `name` left this host a moment ago; `host`: for where. */
export const tombstoneRow = (name: EndpointName, host?: HostName, left_ms = 20_000): Row =>
  row(
    'tombstones',
    { vni, ip: addressOf(name) },
    {
      host: host === undefined ? new Uint8Array(16) : parseAddress(hosts[host]),
      generation: 9,
      until: process.hrtime.bigint() + ms(left_ms),
    },
  );

/** What is known of another host's datapath; times in the past. */
export const hostRow = (
  name: HostName,
  facts: { readonly heard_ms_ago: number; readonly asked_ms_ago?: number; readonly probed_ms_ago?: number },
): Row => {
  const now = process.hrtime.bigint();
  const ago = (value: number | undefined): bigint => (value === undefined ? 0n : now - ms(value));
  return row(
    'hosts',
    { host: parseAddress(hosts[name]) },
    { asked_at: ago(facts.asked_ms_ago), heard_at: ago(facts.heard_ms_ago), probed_at: ago(facts.probed_ms_ago) },
  );
};

export const macBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
export const macText = (bytes: Uint8Array): string => formatMac(bytes);

const ms = (value: number): bigint => BigInt(Math.round(value * 1e6));

export interface PathFacts {
  readonly about: EndpointName;
  readonly host?: HostName;
  readonly state: 0 | 1 | 2;
  readonly generation?: number;
  readonly told_ms_ago: number;
  readonly asked_ms_ago?: number;
  readonly checked_ms_ago?: number;
  readonly asks?: number;
  readonly live_ms_ago?: number;
  /** The owner that was asked last. */
  readonly asked?: HostName;
}

/** A path as the datapath would have learned it that long ago. */
export const pathRow = (facts: PathFacts): Row => {
  const now = process.hrtime.bigint();
  const key = { vni, ip: parseAddress(addresses[facts.about]) };
  return row('paths', key, {
    key,
    state: facts.state,
    host: facts.host === undefined ? new Uint8Array(16) : parseAddress(hosts[facts.host]),
    asked: facts.asked === undefined ? new Uint8Array(16) : parseAddress(hosts[facts.asked]),
    generation: facts.generation ?? 5,
    told_at: now - ms(facts.told_ms_ago),
    asked_at: now - ms(facts.asked_ms_ago ?? facts.told_ms_ago),
    checked_at: now - ms(facts.checked_ms_ago ?? facts.told_ms_ago),
    live_at: now - ms(facts.live_ms_ago ?? 0),
    mac: facts.host === undefined ? new Uint8Array(6) : macBytes(macOf(facts.about)),
    asks: facts.asks ?? 0,
  });
};
