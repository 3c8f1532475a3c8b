import { networkInterfaces } from 'node:os';
import { type Address, parseAddress } from '@megrez/model';

/** The prefix that the underlay's interface itself is in: its hosts are neighbours, without a look at the routes. */
export const onlinkPrefix = (nic: string, address: string): { network: Address; mask: Address } | undefined => {
  const own = networkInterfaces()[nic]?.find((one) => one.address === address);
  if (own === undefined) return undefined;
  // An IPv4 prefix lies in the last 4 of the 16 bytes.
  const mask = parseAddress(own.netmask).map((byte, i) => (own.family === 'IPv4' && i < 12 ? 0xff : byte));
  return { network: parseAddress(address).map((byte, i) => byte & (mask[i] ?? 0)), mask };
};
