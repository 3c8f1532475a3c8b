import { type Address, familyOf } from './address';
import { MegrezError } from './error';

/** 6 bytes, unicast, not all zero. */
export type Mac = Uint8Array;

/** The MAC of every subnet's gateway, on every host: the gateway is always local. */
export const gatewayMac = '02:4d:67:77:00:01';

const pattern = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/;

/**
 * `02:4d:0a:00:01:02` -> 6 bytes.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_MAC for other spellings, multicast and all-zero addresses
 */
export const parseMac = (text: string): Mac => {
  const refuse = (why: string): MegrezError =>
    new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_MAC',
      object: `mac ${text}`,
      message: `'${text}' ${why}`,
    });
  if (!pattern.test(text)) throw refuse('is not a MAC address: write six hex bytes, e.g. 02:4d:0a:00:01:02');
  // Hosts parse them by the million.
  const mac = new Uint8Array(6);
  for (let i = 0; i < 6; i++) mac[i] = Number.parseInt(text.slice(3 * i, 3 * i + 2), 16);
  if (((mac[0] as number) & 1) === 1) throw refuse('is a multicast MAC address: an endpoint needs a unicast one');
  if (mac.every((byte) => byte === 0)) throw refuse('is the all-zero MAC address');
  return mac;
};

/** Lower case, colon-separated. */
export const formatMac = (mac: Mac): string => {
  if (mac.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${mac.length}`);
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
};

/**
 * The MAC of an endpoint that chose none, in the API's spelling: 02:4d and the IPv4 address; for IPv6 02 and 40 bits of
 * a hash (never 02:4d). It depends on the address alone, so a re-created address keeps it in its peers' caches.
 */
export const defaultMac = (address: Address): string => {
  const mac = familyOf(address) === 4 ? [2, 0x4d, ...address.subarray(12)] : [2, ...hash40(address)];
  // 103.119.0.1 would get the gateway's own MAC.
  if (formatMac(Uint8Array.from(mac)) === gatewayMac) mac[1] = 0x4c;
  return formatMac(Uint8Array.from(mac));
};

const hash40 = (address: Address): number[] => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of address) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  hash ^= hash >> 40n;
  const bytes = [32n, 24n, 16n, 8n, 0n].map((shift) => Number((hash >> shift) & 0xffn));
  if (bytes[0] === 0x4d || bytes[0] === 0x4c) bytes[0] = 0x36;
  return bytes;
};
