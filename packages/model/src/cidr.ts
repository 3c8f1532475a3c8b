import {
  type Address,
  addressFromBigint,
  addressToBigint,
  type Family,
  familyOf,
  formatAddress,
  parseAddress,
} from './address';
import { MegrezError } from './error';

/** A network prefix. `length` counts in the family's own bits (0-32 or 0-128); `text` is the canonical spelling. */
export interface Cidr {
  readonly address: Address;
  readonly length: number;
  readonly family: Family;
  readonly text: string;
}

/** The addresses of a CIDR that endpoints may have, both ends included; `count` is 0n when there are none. */
export interface HostRange {
  readonly first: Address;
  readonly last: Address;
  readonly count: bigint;
}

const invalid = (text: string, reason: string, message: string): MegrezError =>
  new MegrezError({ code: 'INVALID_ARGUMENT', reason, object: `cidr ${text}`, message });

/**
 * `10.0.1.0/24` -> Cidr.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_CIDR, or CIDR_HOST_BITS with the CIDR that was probably meant
 */
export const parseCidr = (text: string): Cidr => {
  const [host = '', digits = '', ...rest] = text.split('/');
  if (rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(digits)) {
    throw invalid(text, 'INVALID_CIDR', `'${text}' is not a CIDR: write it as ADDRESS/LENGTH, e.g. 10.0.1.0/24`);
  }
  const address = parseHost(host, text);
  const family = familyOf(address);
  const length = Number(digits);
  if (length > bitsOf(family)) {
    throw invalid(
      text,
      'INVALID_CIDR',
      `'${text}' is not a CIDR: an IPv${family} prefix has at most ${bitsOf(family)} bits`,
    );
  }
  const network = masked(address, length, family);
  const canonical = `${formatAddress(network)}/${length}`;
  if (addressToBigint(network) !== addressToBigint(address)) {
    throw invalid(text, 'CIDR_HOST_BITS', `'${text}' has host bits set: the network is ${canonical}`);
  }
  return { address: network, length, family, text: canonical };
};

const parseHost = (host: string, text: string): Address => {
  try {
    return parseAddress(host);
  } catch (error) {
    throw invalid(text, 'INVALID_CIDR', `'${text}' is not a CIDR: ${(error as Error).message}`);
  }
};

const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

/** Length counted in the 16 bytes. */
const wideLength = (cidr: { length: number; family: Family }): number => cidr.length + 128 - bitsOf(cidr.family);

const masked = (address: Address, length: number, family: Family): Address => {
  const hostBits = BigInt(bitsOf(family) - length);
  return addressFromBigint((addressToBigint(address) >> hostBits) << hostBits);
};

/** Is the address inside? Never across families. */
export const contains = (cidr: Cidr, address: Address): boolean => {
  const wide = wideLength(cidr);
  const whole = wide >> 3;
  for (let i = 0; i < whole; i++) if (cidr.address[i] !== address[i]) return false;
  const rest = wide & 7;
  if (rest !== 0 && ((cidr.address[whole] as number) ^ (address[whole] as number)) >> (8 - rest) !== 0) return false;
  return familyOf(address) === cidr.family;
};

export const cidrContainsCidr = (outer: Cidr, inner: Cidr): boolean =>
  outer.family === inner.family && outer.length <= inner.length && contains(outer, inner.address);

export const overlaps = (a: Cidr, b: Cidr): boolean => cidrContainsCidr(a, b) || cidrContainsCidr(b, a);

/** Number of addresses, network and broadcast included. */
export const cidrSize = (cidr: Cidr): bigint => 1n << BigInt(bitsOf(cidr.family) - cidr.length);

/** The n-th address from 0n, the network address; outside the CIDR it is a RangeError. */
export const nthAddress = (cidr: Cidr, n: bigint): Address => {
  if (n < 0n || n >= cidrSize(cidr)) throw new RangeError(`${cidr.text} has no address number ${n}`);
  return addressFromBigint(addressToBigint(cidr.address) + n);
};

/** In IPv6 this is the subnet-router anycast address. */
export const networkAddress = (cidr: Cidr): Address => cidr.address;

export const lastAddress = (cidr: Cidr): Address => nthAddress(cidr, cidrSize(cidr) - 1n);

/** IPv6 has none. */
export const broadcastAddress = (cidr: Cidr): Address | undefined =>
  cidr.family === 4 ? lastAddress(cidr) : undefined;

/** The gateway's address. */
export const firstHost = (cidr: Cidr): Address => nthAddress(cidr, 1n);

/** What endpoints may have: neither network, gateway nor (IPv4) broadcast address. */
export const hostRange = (cidr: Cidr): HostRange => {
  const reserved = cidr.family === 4 ? 3n : 2n;
  const count = cidrSize(cidr) > reserved ? cidrSize(cidr) - reserved : 0n;
  if (count === 0n) return { first: cidr.address, last: cidr.address, count };
  return { first: nthAddress(cidr, 2n), last: nthAddress(cidr, 1n + count), count };
};
