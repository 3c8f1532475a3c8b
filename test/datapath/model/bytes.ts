/** Addresses and checksums as the model sees them. */

/** 16 bytes, one per character: equal addresses are equal strings, so they can be keys. IPv4 is mapped. */
export type Address = string;

export const zero: Address = '\0'.repeat(16);
const mapped = `${'\0'.repeat(10)}\xff\xff`;

export const addressOf = (bytes: Uint8Array): Address => Buffer.from(bytes).toString('latin1');
export const bytesOf = (address: Address): Buffer => Buffer.from(address, 'latin1');

/** The IPv4 address at `offset`. */
export const ip4At = (packet: Buffer, offset: number): Address =>
  mapped + packet.toString('latin1', offset, offset + 4);
export const ip4Of = (address: Address): Buffer => Buffer.from(address.slice(12), 'latin1');

export const ip6At = (packet: Buffer, offset: number): Address => packet.toString('latin1', offset, offset + 16);
export const isMapped = (address: Address): boolean => address.startsWith(mapped);
/** fe80::/10. */
export const isLinkLocal = (address: Address): boolean =>
  address.charCodeAt(0) === 0xfe && (address.charCodeAt(1) & 0xc0) === 0x80;

export const isIn = (address: Address, network: Address, mask: Address): boolean => {
  for (let i = 0; i < 16; i++) {
    if ((address.charCodeAt(i) ^ network.charCodeAt(i)) & mask.charCodeAt(i)) return false;
  }
  return true;
};

/** Of the Internet protocols (RFC 1071) over `packet[from, to)`: 0 when the sum in there is right. */
export const checksum = (packet: Buffer, from: number, to: number): number => {
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += ((packet[at] ?? 0) << 8) | (at + 1 < to ? (packet[at + 1] ?? 0) : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

/** Of the 20 bytes of an IPv4 header at `offset`: computed anew and written. */
export const sealIp4 = (packet: Buffer, offset: number): void => {
  packet.writeUInt16BE(0, offset + 10);
  packet.writeUInt16BE(checksum(packet, offset, offset + 20), offset + 10);
};

/** The hash by which source ports are chosen: words as the machine reads them. */
export const mix = (hash: number, word: number): number => {
  const product = Math.imul(hash ^ word, 0x9e3779b1) >>> 0;
  return (product ^ (product >>> 15)) >>> 0;
};
