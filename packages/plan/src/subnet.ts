import { firstHost, parseAddress, parseCidr, type Subnet } from '@megrez/model';
import type { SubnetFacts } from './context';

/** A subnet has no row of its own: its endpoints' ports say what it is. */
export const subnetFacts = ({ cidrs, gateways }: Subnet): SubnetFacts => ({
  prefixes: cidrs.map((text, i) => {
    const cidr = parseCidr(text);
    const gateway = gateways[i];
    return { cidr, gateway: gateway === undefined || gateway === '' ? firstHost(cidr) : parseAddress(gateway) };
  }),
});
