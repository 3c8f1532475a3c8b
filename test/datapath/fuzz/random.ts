/** Numbers from a seed: the same on every machine (sfc32, Doty-Humphrey). */
export interface Random {
  /** An integer in [0, below). */
  below(below: number): number;
  /** True once in `one_in`. */
  once(one_in: number): boolean;
  pick<T>(from: readonly T[]): T;
  bytes(count: number): Buffer;
}

export const randomOf = (seed: number, stream: number): Random => {
  let a = seed >>> 0;
  let b = stream >>> 0;
  let c = Math.floor(stream / 2 ** 32) >>> 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) >>> 0) + counter++) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  };
  for (let i = 0; i < 12; i++) next();
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    once: (one_in) => below(one_in) === 0,
    pick: <T>(from: readonly T[]): T => from[below(from.length)] as T,
    bytes: (count) => {
      const bytes = Buffer.alloc(count);
      for (let at = 0; at < count; at++) bytes[at] = next() >>> 24;
      return bytes;
    },
  };
};
