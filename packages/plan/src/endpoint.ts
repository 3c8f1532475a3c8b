import { EndpointFlag } from '@megrez/abi';
import { type Address, contains, type Endpoint, parseAddress, parseMac } from '@megrez/model';
import type { InterfaceFacts, PlanContext } from './context';
import { maskOf, wideLength } from './prefix';
import { type Row, type RowKey, row, rowKey } from './row';

/**
 * An endpoint of this host: how its interface is served, and where its address is. One of another host: what a bouncer
 * answers; the controller tells of those only whose slot this host holds.
 */
export const planEndpoint = (endpoint: Endpoint, context: PlanContext): readonly Row[] => {
  const { vni, subnetNumber, slot } = endpoint;
  if (endpoint.host !== context.host) return [mappingRow(endpoint)];
  const mapping = context.holds(vni, subnetNumber, slot) ? [mappingRow(endpoint)] : [];
  return [...attachmentRows(endpoint, context), ...mapping];
};

const generationOf = ({ meta }: Endpoint): number => meta?.generation ?? 0;

const mappingRow = (endpoint: Endpoint): Row =>
  row('mappings', keyOf(endpoint), {
    host: parseAddress(endpoint.hostAddress),
    generation: generationOf(endpoint),
    mac: parseMac(endpoint.mac),
  });

const keyOf = ({ vni, ip }: Endpoint): { vni: number; ip: Address } => ({ vni, ip: parseAddress(ip) });

/** Ports first: an endpoint that can be found may answer at once. */
const attachmentRows = (endpoint: Endpoint, context: PlanContext): readonly Row[] => {
  const key = keyOf(endpoint);
  if (endpoint.attachment?.kind.oneofKind === 'none') return [endpointRow(endpoint, undefined)];
  const facts = context.interfaceOf(key.vni, key.ip);
  if (facts === undefined) return [];
  const prefix = context
    .subnet(endpoint.vni, endpoint.subnetNumber)
    ?.prefixes.find(({ cidr }) => contains(cidr, key.ip));
  if (prefix === undefined) return [];
  const { ifindex, mtu } = facts;
  const port = row(
    'ports',
    { ifindex },
    {
      vni: endpoint.vni,
      subnet: endpoint.subnetNumber,
      ip4: {
        ip: key.ip,
        gateway: prefix.gateway,
        network: prefix.cidr.address,
        mask: maskOf(wideLength(prefix.cidr)),
      },
      ip6: noReach,
      generation: generationOf(endpoint),
      mac: parseMac(endpoint.mac),
      mtu,
    },
  );
  return [...datapathRows(ifindex), port, endpointRow(endpoint, facts)];
};

const endpointRow = (endpoint: Endpoint, facts: InterfaceFacts | undefined): Row =>
  row('endpoints', keyOf(endpoint), {
    ifindex: facts?.ifindex ?? 0,
    flags: facts?.veth ? EndpointFlag.veth : 0,
    generation: generationOf(endpoint),
    mac: parseMac(endpoint.mac),
  });

const none = new Uint8Array(16);
const noReach = { ip: none, gateway: none, network: none, mask: none };
const nothing = { packets: 0n, bytes: 0n };

const datapathRows = (ifindex: number): readonly Row[] => [
  { ...row('budgets', { ifindex }, { due: 0n, error_due: 0n }), kept: true },
  { ...row('traffic', { ifindex }, { sent: nothing, received: nothing }), kept: true },
];

/**
 * Every row that an endpoint may have; `ifindex` of its interface, when it had one. In the order of removal: nobody finds
 * an endpoint whose port is gone.
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
