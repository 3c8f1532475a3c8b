import { addressToBigint, type Cidr, hostRange, nthAddress, parseCidr, type Subnet } from '@megrez/model';
import type { Context } from '../context';
import { pickAddress } from './address-pick';
import type { Draft } from './endpoint-draft';

/** The addresses of an endpoint: the first names it; a dual-stack subnet gives it a second one, of IPv6. */
export interface Addresses {
  readonly first: Uint8Array;
  readonly second: Uint8Array | undefined;
}

/** How often a choice was refused, per address. */
export interface Refusals {
  readonly first: number;
  readonly second: number;
}

/**
 * One address per family of the subnet: what the request names, else the controller's choice. The second is the IPv6
 * prefix with the IPv4 address's host number, where that is possible and free, so that people recognise the pair.
 * An address that is named for a family that the subnet does not have is returned all the same, to be refused in words.
 */
export const addressesFor = async (
  context: Context,
  { ip4, ip6, object }: Draft,
  subnet: Subnet,
  refusals: Refusals,
): Promise<Addresses> => {
  const cidrs = subnet.cidrs.map(parseCidr);
  const [cidr4, cidr6] = ([4, 6] as const).map((family) => cidrs.find((cidr) => cidr.family === family));
  const pick = (cidr: Cidr, attempt: number) => pickAddress(context, subnet, cidr, attempt, object);
  if (cidr4 === undefined) {
    return { first: ip6 ?? ip4 ?? (await pick(cidr6 as Cidr, refusals.first)), second: ip6 && ip4 };
  }
  if (cidr6 === undefined) return { first: ip4 ?? ip6 ?? (await pick(cidr4, refusals.first)), second: ip4 && ip6 };
  const first = ip4 ?? (await pick(cidr4, refusals.first));
  const twin = refusals.second === 0 ? sameNumber(cidr4, first, cidr6) : undefined;
  return { first, second: ip6 ?? twin ?? (await pick(cidr6, refusals.second)) };
};

const sameNumber = (cidr4: Cidr, address: Uint8Array, cidr6: Cidr): Uint8Array | undefined => {
  const number = addressToBigint(address) - addressToBigint(cidr4.address);
  const usable = number >= 2n && number < 2n + hostRange(cidr6).count;
  return usable ? nthAddress(cidr6, number) : undefined;
};
