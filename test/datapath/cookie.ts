/** SipHash-2-4 after its paper, over what a path option's cookie covers; the check of bpf/cookie.h. */
import { parseAddress } from '@megrez/model';

const mask = 0xffff_ffff_ffff_ffffn;
const rotate = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & mask;

export const sipHash = (key: readonly [bigint, bigint], words: readonly bigint[], last: bigint | undefined): bigint => {
  let a = key[0] ^ 0x736f6d6570736575n;
  let b = key[1] ^ 0x646f72616e646f6dn;
  let c = key[0] ^ 0x6c7967656e657261n;
  let d = key[1] ^ 0x7465646279746573n;
  const round = (): void => {
    a = (a + b) & mask;
    b = rotate(b, 13n) ^ a;
    a = rotate(a, 32n);
    c = (c + d) & mask;
    d = rotate(d, 16n) ^ c;
    a = (a + d) & mask;
    d = rotate(d, 21n) ^ a;
    c = (c + b) & mask;
    b = rotate(b, 17n) ^ c;
    c = rotate(c, 32n);
  };
  for (const word of last === undefined ? words : [...words, last]) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
  c ^= 0xffn;
  for (let i = 0; i < 4; i++) round();
  return a ^ b ^ c ^ d;
};

export const secret = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n] as const;
export const secretBytes = Uint8Array.from({ length: 16 }, (_, i) => i);

/** CLOCK_MONOTONIC in ns, as the datapath's clock. */
export const now_ns = (): bigint => process.hrtime.bigint();

/** The cookie a host with `secret` makes at `at_ns`. */
export const cookie = (vni: number, ip: string, at_ns: bigint): bigint => {
  const address = Buffer.from(parseAddress(ip));
  const word = (at: number): bigint => BigInt(address.readUInt32LE(at));
  const window = at_ns >> 31n;
  return sipHash(
    secret,
    [(word(0) << 32n) | word(4), (word(8) << 32n) | word(12), ((window << 24n) & mask) | BigInt(vni)],
    undefined,
  );
};

/** Waits until the present window of cookies has at least 50 ms to go, so that a case sees one cookie only. */
export const steadyWindow = async (): Promise<void> => {
  const left_ns = (1n << 31n) - (now_ns() & ((1n << 31n) - 1n));
  if (left_ns < 50_000_000n) await new Promise((resolve) => setTimeout(resolve, Number(left_ns / 1_000_000n) + 5));
};
