import { EndpointFlag } from '@megrez/abi';
import { type Address, contains, type Endpoint, familyOf, parseAddress, parseMac } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import type { InterfaceFacts, PlanContext, SubnetFacts } from './context';
import { maskOf, wideLength } from './prefix';
import { type Row, type RowKey, row, rowKey } from './row';

/** What an endpoint is to a host. One that moves is `here` on both hosts until its owners know the new one. */
export type Presence = 'here' | 'leaving' | 'elsewhere';

export const presenceOf = ({ host, movingTo, movedFrom }: Endpoint, self: string): Presence => {
  if (host === self || movingTo === self) return 'here';
  return movedFrom === self ? 'leaving' : 'elsewhere';
};

/** The addresses of an endpoint, one per family. */
export const addressesOf = ({ ip, ip6 }: Pick<Endpoint, 'ip' | 'ip6'>): readonly Address[] =>
  ip6 === '' ? [parseAddress(ip)] : [parseAddress(ip), parseAddress(ip6)];

/**
 * An endpoint of this host: how its interface is served, and where its addresses are. One of another host: what a bouncer
 * answers for the slots that this host holds.
 */
export const planEndpoint = (endpoint: Endpoint, context: PlanContext): readonly Row[] => {
  const addresses = addressesOf(endpoint);
  const presence = presenceOf(endpoint, context.host);
  const mappings = addresses
    .filter((ip, i) => {
      const slot = i === 0 ? endpoint.slot : slotOf(endpoint.vni, ip);
      const holds = context.holds(endpoint.vni, endpoint.subnetNumber, slot);
      // Of another host's endpoint we hear because its slot is ours, be it before its table.
      return holds ?? presence === 'elsewhere';
    })
    .map((ip) => mappingRow(endpoint, ip));
  if (presence === 'elsewhere') return mappings;
  // What is left here of an endpoint that moved is older than what is at its new host.
  const generation = generationOf(endpoint) - (presence === 'leaving' ? 1 : 0);
  return [...attachmentRows({ endpoint, addresses, generation }, context), ...mappings];
};

const generationOf = ({ meta }: Endpoint): number => meta?.generation ?? 0;

const mappingRow = (endpoint: Endpoint, ip: Address): Row =>
  row(
    'mappings',
    { vni: endpoint.vni, ip },
    { host: parseAddress(endpoint.hostAddress), generation: generationOf(endpoint), mac: parseMac(endpoint.mac) },
  );

interface Attached {
  readonly endpoint: Endpoint;
  readonly addresses: readonly Address[];
  readonly generation: number;
}

/** Ports first: an endpoint that can be found may answer at once. */
const attachmentRows = (attached: Attached, context: PlanContext): readonly Row[] => {
  const { endpoint, addresses, generation } = attached;
  const { vni, subnetNumber } = endpoint;
  const facts = context.interfaceOf(vni, addresses[0] as Address);
  const wantsNone = endpoint.attachment?.kind.oneofKind === 'none';
  // The attachment of an endpoint that moves is that at its new host.
  if (wantsNone && (facts === undefined || !staysAsItIs(endpoint, context.host))) {
    return addresses.map((ip) => endpointRow(attached, ip, undefined));
  }
  if (facts === undefined) return [];
  const subnet = context.subnet(vni, subnetNumber);
  const reaches = addresses.flatMap((ip) => reachOf(ip, subnet));
  if (reaches[0]?.ip !== addresses[0]) return [];
  const of = (family: 4 | 6) => reaches.find(({ ip }) => familyOf(ip) === family) ?? noReach;
  const { ifindex, mtu } = facts;
  const port = row(
    'ports',
    { ifindex },
    { vni, subnet: subnetNumber, ip4: of(4), ip6: of(6), generation, mac: parseMac(endpoint.mac), mtu },
  );
  return [...datapathRows(ifindex), port, ...reaches.map(({ ip }) => endpointRow(attached, ip, facts))];
};

/** Does this host go on serving the interface that it has, whatever attachment the endpoint has now? */
export const staysAsItIs = (endpoint: Endpoint, host: string): boolean =>
  presenceOf(endpoint, host) === 'leaving' ||
  (endpoint.host === host && endpoint.movingTo !== '' && endpoint.movingTo !== host);

interface Reach {
  readonly ip: Address;
  readonly gateway: Address;
  readonly network: Address;
  readonly mask: Address;
}

const none = new Uint8Array(16);
const noReach: Reach = { ip: none, gateway: none, network: none, mask: none };

/** The address in its prefix of the subnet, when it lies in one. */
const reachOf = (ip: Address, subnet: SubnetFacts | undefined): readonly Reach[] => {
  const prefix = subnet?.prefixes.find(({ cidr }) => contains(cidr, ip));
  if (prefix === undefined) return [];
  const { cidr, gateway } = prefix;
  return [{ ip, gateway, network: cidr.address, mask: maskOf(wideLength(cidr)) }];
};

const endpointRow = (
  { endpoint: { vni, mac }, generation }: Attached,
  ip: Address,
  facts: InterfaceFacts | undefined,
): Row =>
  row(
    'endpoints',
    { vni, ip },
    {
      ifindex: facts?.ifindex ?? 0,
      flags: facts?.veth ? EndpointFlag.veth : 0,
      generation,
      mac: parseMac(mac),
    },
  );

const nothing = { packets: 0n, bytes: 0n };

const datapathRows = (ifindex: number): readonly Row[] => [
  { ...row('budgets', { ifindex }, { due: 0n, error_due: 0n }), kept: true },
  { ...row('traffic', { ifindex }, { sent: nothing, received: nothing }), kept: true },
];

/**
 * Every row that an address of an endpoint may have; `ifindex` of its interface, when it had one. In the order of removal:
 * nobody finds an endpoint whose port is gone, because what it answers would go nowhere.
 */
export const endpointKeys = (vni: number, ip: Address, ifindex: number | undefined): readonly RowKey[] => [
  rowKey('mappings', { vni, ip }),
  rowKey('endpoints', { vni, ip }),
  ...(ifindex === undefined ? [] : portKeys(ifindex)),
];

export const portKeys = (ifindex: number): readonly RowKey[] => [
  rowKey('ports', { ifindex }),
  rowKey('budgets', { ifindex }),
  rowKey('traffic', { ifindex }),
];
