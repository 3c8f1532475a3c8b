/** Buckets of a service's table: prime, so that every stride visits all of them. bpf/abi.h: SERVICE_BUCKETS. */
export const serviceBuckets = 1021;

/** In the bucket of a table in which nobody is. */
export const noBackend = 0xff;

/** Who takes flows. */
export interface MaglevBackend {
  /** What the table says of it: 0-254. Unique. */
  readonly number: number;
  /** Its identity, e.g. address and port: decides which buckets it would have first. */
  readonly name: string;
  /** 1 or more; shares of the buckets are proportional to weights. */
  readonly weight: number;
}

/**
 * By bucket the number of a backend. Every backend has its share to within one bucket, whatever came before; one with fewer
 * than half a bucket may have none. As in Maglev (Eisenbud et al., NSDI 2016) every backend goes through the buckets in an
 * order of its own, which its name decides, and they take what they lack in turns. But what a backend has in `before` (the
 * present table, or an empty one) it gives up only to one that lacks it: of a table of 1,021 buckets Maglev alone moves
 * 2 to 5 % more than must move. Empty when there are no backends.
 */
export const maglev = (backends: readonly MaglevBackend[], before: Uint8Array = new Uint8Array(0)): Uint8Array => {
  if (backends.length === 0) return new Uint8Array(0);
  const table = new Uint8Array(serviceBuckets).fill(noBackend);
  /** By number: how many more buckets a backend may have; below 0 it has too many. */
  const lack = new Int32Array(noBackend + 1);
  const present = new Int32Array(noBackend);
  const known = new Set(backends.map(({ number }) => number));
  if (before.length === serviceBuckets) {
    for (const [bucket, number] of before.entries()) {
      if (!known.has(number)) continue;
      table[bucket] = number;
      present[number] = (present[number] as number) + 1;
    }
  }
  const order = [...backends].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const [number, share] of sharesOf(order, present)) lack[number] = share - (present[number] as number);
  const add = (number: number, change: number): void => {
    lack[number] = (lack[number] ?? 0) + change;
  };
  const walks = order.map(({ number, name }) => ({ ...strideOf(name), number }));
  for (let wanting = true; wanting; ) {
    wanting = false;
    for (const walk of walks) {
      const { number, skip } = walk;
      if ((lack[number] as number) <= 0) continue;
      // What cannot be had now cannot be had later: the walk never goes back.
      for (;;) {
        const { bucket } = walk;
        walk.bucket = (bucket + skip) % serviceBuckets;
        const owner = table[bucket] as number;
        if (owner !== noBackend && (lack[owner] as number) >= 0) continue;
        if (owner !== noBackend) add(owner, 1);
        table[bucket] = number;
        add(number, -1);
        break;
      }
      wanting ||= (lack[number] as number) > 0;
    }
  }
  return table;
};

/** By number; shares add up to all buckets. What is rounded up is so, if possible, where a bucket more is there already. */
const sharesOf = (backends: readonly MaglevBackend[], present: Int32Array): ReadonlyMap<number, number> => {
  const sum = backends.reduce((total, { weight }) => total + weight, 0);
  const exact = backends.map(({ number, weight }) => {
    const share = Math.floor((weight * serviceBuckets) / sum);
    const remainder = (weight * serviceBuckets) % sum;
    return { number, share, remainder, kept: remainder > 0 && (present[number] as number) > share };
  });
  const rest = serviceBuckets - exact.reduce((total, { share }) => total + share, 0);
  const up = exact
    .toSorted((a, b) => Number(b.kept) - Number(a.kept) || b.remainder - a.remainder)
    .slice(0, rest)
    .map(({ number }) => number);
  return new Map(exact.map(({ number, share }) => [number, up.includes(number) ? share + 1 : share]));
};

/** Where a backend begins, and how far it goes on. */
const strideOf = (name: string): { bucket: number; readonly skip: number } => ({
  bucket: hash(name, 0x6d656772) % serviceBuckets,
  skip: 1 + (hash(name, 0x657a7376) % (serviceBuckets - 1)),
});

/** FNV-1a over the UTF-16 units, then murmur3's finalizer: 32 bits. */
const hash = (text: string, seed: number): number => {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};
