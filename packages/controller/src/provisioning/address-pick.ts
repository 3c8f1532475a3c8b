import { setImmediate } from 'node:timers/promises';
import { addressHex, type Cidr, hostRange, MegrezError, nthAddress, type Subnet } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { keys, type Prefix, prefixes, type Store } from '@megrez/store';
import type { Context } from '../context';
import { subnetKey } from '../mirror';
import { pages } from '../relay/read';

/** Attempts that guess one address, then attempts that look at a sample, then the whole subnet is read. */
const guesses = 3;
const samples = 3;
/** Keys of one request. */
const sample_size = 100;
/** Larger subnets are never full: guessing goes on. */
const scan_limit = 1n << 22n;
const pause_every = 4_096;

/** A free address of one of the subnet's prefixes, as far as one controller can say; the txn decides. `attempt` counts from 0. */
export const pickAddress = async (
  context: Context,
  subnet: Subnet,
  cidr: Cidr,
  attempt: number,
  object: string,
): Promise<Uint8Array> => {
  const { count } = hostRange(cidr);
  if (count <= 0n) throw exhausted(object, subnet);
  const found = attempt < guesses ? guess(context, subnet, cidr) : undefined;
  const sampled = found ?? (attempt < guesses + samples ? await sample(context, subnet, cidr) : undefined);
  if (sampled !== undefined) return sampled;
  if (count > scan_limit) return nthAddress(cidr, 2n + randomBelow(count));
  return scan(context, subnet, cidr, object);
};

const avoided = ({ recent, mirror }: Context, { vni, number }: Subnet, ip: string): boolean => {
  const id = `${subnetKey(vni, number)}/${ip}`;
  return mirror.held.has(id) || recent.has(id);
};

const guess = (context: Context, subnet: Subnet, cidr: Cidr): Uint8Array | undefined => {
  for (let n = 0; n < guesses; n += 1) {
    const address = nthAddress(cidr, 2n + randomBelow(hostRange(cidr).count));
    if (!avoided(context, subnet, addressHex(address))) return address;
  }
  return undefined;
};

/** Looks at many random addresses with one request: finds a free one also when nine of ten are taken. */
const sample = async (context: Context, subnet: Subnet, cidr: Cidr): Promise<Uint8Array | undefined> => {
  const { vni, number } = subnet;
  const { count } = hostRange(cidr);
  const addresses = Array.from({ length: sample_size }, () => nthAddress(cidr, 2n + randomBelow(count)));
  const wanted = addresses.filter((address) => !avoided(context, subnet, addressHex(address)));
  const entries = await context.store.getMany(
    wanted.map((address) => keys.endpoint(vni, number, slotOf(vni, address), addressHex(address))),
  );
  return wanted.find((_, n) => entries[n] === undefined);
};

/**
 * Reads the whole subnet, linearizably, and takes the first free address behind a random one, so that callers who scan
 * at the same time rarely meet. Recently deleted addresses are taken only when nothing else is left.
 */
const scan = async (context: Context, subnet: Subnet, cidr: Cidr, object: string): Promise<Uint8Array> => {
  const { store, recent } = context;
  const { vni, number } = subnet;
  const taken = new Set<string>();
  for await (const path of paths(store, prefixes.endpoints(vni, number))) taken.add(path.slice(-32));
  for await (const path of paths(store, prefixes.held(vni, number))) taken.add(path.slice(-32));
  for await (const path of paths(store, prefixes.serviceAddresses(vni, number))) taken.add(path.slice(-32));
  const { count } = hostRange(cidr);
  const start = randomBelow(count);
  let used: Uint8Array | undefined;
  for (let n = 0; n < Number(count); n += 1) {
    if (n % pause_every === pause_every - 1) await setImmediate();
    const address = nthAddress(cidr, 2n + ((start + BigInt(n)) % count));
    const ip = addressHex(address);
    if (taken.has(ip)) continue;
    if (!recent.has(`${subnetKey(vni, number)}/${ip}`)) return address;
    used ??= address;
  }
  if (used === undefined) throw exhausted(object, subnet);
  return used;
};

async function* paths<T extends object>(store: Store, prefix: Prefix<T>): AsyncGenerator<string> {
  const first = await store.range(prefix, { limit: 5_000 });
  for await (const entries of pages(store, prefix, first.revision, first)) yield* entries.map(({ path }) => path);
}

/** Asked of the system many at a time: one by one they cost more than the rest of a guess. */
const words = new BigUint64Array(512);
let unused = 0;

const randomWord = (): bigint => {
  if (unused === 0) {
    crypto.getRandomValues(words);
    unused = words.length;
  }
  unused -= 1;
  return words[unused] as bigint;
};

const randomBelow = (count: bigint): bigint => ((randomWord() << 64n) | randomWord()) % count;

const exhausted = (object: string, { vpc, name, cidrs }: Subnet): MegrezError =>
  new MegrezError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'SUBNET_EXHAUSTED',
    object,
    message: `subnet ${vpc}/${name} (${cidrs.join(', ')}) has no free address`,
  });
