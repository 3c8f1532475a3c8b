import type { Address, Cidr } from '@megrez/model';

/** Bits of the prefix over the 16-byte form: an IPv4 /24 has 120. */
export const wideLength = ({ length, family }: Pick<Cidr, 'length' | 'family'>): number =>
  family === 4 ? length + 96 : length;

/** 16 bytes that begin with `bits` ones. */
export const maskOf = (bits: number): Address =>
  Uint8Array.from({ length: 16 }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))) & 0xff);
