import { type Cidr, firstHost, parseAddress, parseCidr, type Subnet } from '@megrez/model';
import type { SubnetFacts } from './context';
import { wideLength } from './prefix';
import { type Row, type RowKey, row, rowKey } from './row';

/** Where addresses of its prefixes are routed to; its endpoints' ports say the rest of what it is. */
export const planSubnet = ({ vni, number, cidrs, meta }: Subnet): readonly Row[] =>
  cidrs.map((text) =>
    row('routes', routeKey(vni, parseCidr(text)), { subnet: number, generation: meta?.generation ?? 0 }),
  );

/** The rows that a subnet of these prefixes may have. */
export const subnetKeys = (vni: number, { prefixes }: SubnetFacts): readonly RowKey[] =>
  prefixes.map(({ cidr }) => rowKey('routes', routeKey(vni, cidr)));

/** The VNI's 32 bits come before those of the prefix. */
const routeKey = (vni: number, cidr: Cidr): { length: number; vni: number; address: Uint8Array } => ({
  length: 32 + wideLength(cidr),
  vni,
  address: cidr.address,
});

export const subnetFacts = ({ cidrs, gateways }: Subnet): SubnetFacts => ({
  prefixes: cidrs.map((text, i) => {
    const cidr = parseCidr(text);
    const gateway = gateways[i];
    return { cidr, gateway: gateway === undefined || gateway === '' ? firstHost(cidr) : parseAddress(gateway) };
  }),
});
