/** Slots of a table: 8 bits of the hash. */
export const slotCount = 256;

const multiply = Math.imul;

/**
 * Slot of an address: 0-255. bpf/ computes the same function; `vectors.json` of this package binds the two.
 * `address` is 16 bytes; `vni` 24 bits. A multiplication and shift per word, then murmur3's finalizer.
 */
export const slotOf = (vni: number, address: Uint8Array): number => {
  let h = vni ^ 0x6d656772;
  for (let i = 0; i < 16; i += 4) {
    const word =
      ((address[i] as number) << 24) |
      ((address[i + 1] as number) << 16) |
      ((address[i + 2] as number) << 8) |
      (address[i + 3] as number);
    h = multiply(h ^ word, 0x9e3779b1);
    h ^= h >>> 15;
  }
  h ^= h >>> 16;
  h = multiply(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = multiply(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h & 0xff;
};
