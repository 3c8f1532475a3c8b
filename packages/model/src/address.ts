import ipaddr from 'ipaddr.js';
import { MegrezError } from './error';

/**
 * An address of either family: always 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, so that one code serves both.
 * Never changed in place.
 */
export type Address = Uint8Array;

export type Family = 4 | 6;

const invalid = (text: string, why: string): MegrezError =>
  new MegrezError({
    code: 'INVALID_ARGUMENT',
    reason: 'INVALID_ADDRESS',
    object: `address ${text}`,
    message: `'${text}' is not an IP address${why}`,
  });

/**
 * Text -> 16 bytes. IPv4 in four decimal parts, or IPv6 without a zone. An IPv4-mapped IPv6 address is refused: it
 * would be a second spelling of an IPv4 address.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_ADDRESS
 */
export const parseAddress = (text: string): Address => {
  const dotted = parseDotted(text);
  if (dotted !== undefined) return dotted;
  if (text.includes('%')) throw invalid(text, ' that this network can carry: leave the zone (%...) out');
  if (!text.includes(':') || !ipaddr.IPv6.isValid(text)) throw invalid(text, '');
  const parsed = ipaddr.IPv6.parse(text);
  if (parsed.isIPv4MappedAddress()) throw invalid(text, `: write it as ${parsed.toIPv4Address().toString()}`);
  return Uint8Array.from(parsed.toByteArray());
};

/** Hosts parse them by the million: one pass, and nothing is made but the result. */
const parseDotted = (text: string): Address | undefined => {
  const bytes = new Uint8Array(16);
  let part = 12;
  let value = 0;
  let digits = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? dot : text.charCodeAt(i);
    if (code === dot) {
      if (digits === 0 || value > 255 || part === 16) return undefined;
      bytes[part++] = value;
      value = digits = 0;
      continue;
    }
    // A leading zero could be read as octal.
    if (code < zero || code > zero + 9 || (digits > 0 && value === 0) || digits === 3) return undefined;
    value = 10 * value + code - zero;
    digits += 1;
  }
  if (part !== 16) return undefined;
  bytes[10] = bytes[11] = 0xff;
  return bytes;
};

const dot = 0x2e;
const zero = 0x30;

/** 4 exactly when the address is IPv4-mapped. */
export const familyOf = (address: Address): Family => {
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return 6;
  return address[10] === 0xff && address[11] === 0xff ? 4 : 6;
};

/** The one spelling of an address: dotted IPv4, or IPv6 as RFC 5952 says. */
export const formatAddress = (address: Address): string => {
  if (address.length !== 16) throw new RangeError(`an address has 16 bytes, not ${address.length}`);
  if (familyOf(address) === 4) return `${address[12]}.${address[13]}.${address[14]}.${address[15]}`;
  return (ipaddr.fromByteArray([...address]) as ipaddr.IPv6).toRFC5952String();
};

const hexDigits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** 32 lower-case hex digits, as in the store's keys. */
export const addressHex = (address: Address): string => {
  let text = '';
  for (let i = 0; i < 16; i++) text += hexDigits[address[i] as number];
  return text;
};

/** The inverse of addressHex; anything but 32 hex digits is a programmer's error (RangeError). */
export const addressFromHex = (hex: string): Address => {
  if (!/^[0-9a-f]{32}$/.test(hex)) throw new RangeError(`'${hex}' is not 32 lower-case hex digits`);
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
};

export const addressToBigint = (address: Address): bigint => BigInt(`0x${addressHex(address)}`);

export const addressFromBigint = (value: bigint): Address => addressFromHex(value.toString(16).padStart(32, '0'));

/** Byte order, hence numeric order inside a family; IPv4 sorts among IPv6 as ::ffff:0:0/96. */
export const compareAddresses = (a: Address, b: Address): number => {
  for (let i = 0; i < 16; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
};

export const sameAddress = (a: Address, b: Address): boolean => compareAddresses(a, b) === 0;
