import { networkInterfaces } from 'node:os';
import { type ListedRoute, listRoutes } from '@megrez/kernel';
import { type Address, cidrContainsCidr, familyOf, formatAddress, parseAddress, parseCidr } from '@megrez/model';

export interface Onlink {
  readonly network: Address;
  readonly mask: Address;
}

/** The prefix that the underlay's interface itself is in, if its hosts are neighbours: no route to them needs a look. */
export const onlinkPrefix = async (
  nic: { readonly name: string; readonly ifindex: number },
  address: string,
): Promise<Onlink | undefined> => {
  const own = networkInterfaces()[nic.name]?.find((one) => one.address === address);
  if (own === undefined) return undefined;
  // An IPv4 prefix lies in the last 4 of the 16 bytes.
  const mask = parseAddress(own.netmask).map((byte, i) => (own.family === 'IPv4' && i < 12 ? 0xff : byte));
  const network = parseAddress(address).map((byte, i) => byte & (mask[i] ?? 0));
  return areNeighbours({ network, mask }, nic.ifindex, await listRoutes()) ? { network, mask } : undefined;
};

const ones = (mask: Address): number =>
  mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);

/** Has the whole prefix one route, on this interface and without a gateway, and no part of it another? */
export const areNeighbours = ({ network, mask }: Onlink, ifindex: number, routes: readonly ListedRoute[]): boolean => {
  const bits = ones(mask);
  const prefix = parseCidr(`${formatAddress(network)}/${familyOf(network) === 4 ? bits - 96 : bits}`);
  const inside = routes
    .map((route) => ({ route, cidr: parseCidr(`${route.network}/${route.length}`) }))
    .filter(({ cidr }) => cidrContainsCidr(prefix, cidr));
  const direct = ({ route }: { readonly route: ListedRoute }): boolean => route.ifindex === ifindex && !route.gateway;
  return inside.some((one) => one.cidr.length === prefix.length && direct(one)) && inside.every(direct);
};
