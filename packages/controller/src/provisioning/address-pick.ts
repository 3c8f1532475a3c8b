import { addressFromHex, addressHex, hostRange, MegrezError, nthAddress, parseCidr, type Subnet } from '@megrez/model';
import { type Prefix, prefixes, type Store } from '@megrez/store';
import type { Context } from '../context';
import { subnetKey } from '../mirror';
import { pages } from '../relay/read';

/** Random probes before the whole subnet is read. */
export const probes = 6;
/** Larger subnets are never full: probing goes on. */
const scan_limit = 1n << 22n;

/** A free address, as far as one controller can say; the txn decides. `attempt` counts from 0. */
export const pickAddress = async (
  context: Context,
  subnet: Subnet,
  attempt: number,
  object: string,
): Promise<Uint8Array> => {
  const cidr = parseCidr(subnet.cidrs[0] ?? '');
  const { count } = hostRange(cidr);
  if (count <= 0n) throw exhausted(object, subnet);
  if (attempt < probes || count > scan_limit) {
    for (let probe = 0; probe < probes; probe += 1) {
      const address = nthAddress(cidr, 2n + randomBelow(count));
      if (!avoided(context, subnet, addressHex(address))) return address;
    }
    if (count > scan_limit) return nthAddress(cidr, 2n + randomBelow(count));
  }
  return scan(context, subnet, object);
};

const avoided = ({ recent, mirror }: Context, { vni, number }: Subnet, ip: string): boolean => {
  const id = `${subnetKey(vni, number)}/${ip}`;
  return mirror.held.has(id) || recent.has(id);
};

/**
 * Reads the whole subnet, linearizably, and takes one of the free addresses at random, so that callers who scan at the
 * same time rarely meet. Recently deleted addresses are taken only when nothing else is left.
 */
const scan = async (context: Context, subnet: Subnet, object: string): Promise<Uint8Array> => {
  const { store, recent } = context;
  const { vni, number } = subnet;
  const cidr = parseCidr(subnet.cidrs[0] ?? '');
  const taken = new Set<string>();
  for await (const path of paths(store, prefixes.endpoints(vni, number))) taken.add(path.slice(-32));
  for await (const path of paths(store, prefixes.held(vni, number))) taken.add(path.slice(-32));
  const fresh: string[] = [];
  const used: string[] = [];
  const { count } = hostRange(cidr);
  for (let n = 0n; n < count; n += 1n) {
    const ip = addressHex(nthAddress(cidr, 2n + n));
    if (taken.has(ip)) continue;
    if (recent.has(`${subnetKey(vni, number)}/${ip}`)) used.push(ip);
    else fresh.push(ip);
  }
  const free = fresh.length > 0 ? fresh : used;
  const chosen = free[Math.floor(Math.random() * free.length)];
  if (chosen === undefined) throw exhausted(object, subnet);
  return addressFromHex(chosen);
};

async function* paths<T extends object>(store: Store, prefix: Prefix<T>): AsyncGenerator<string> {
  const first = await store.range(prefix, { limit: 5_000 });
  for await (const entries of pages(store, prefix, first.revision, first)) yield* entries.map(({ path }) => path);
}

const randomBelow = (count: bigint): bigint => {
  const words = crypto.getRandomValues(new BigUint64Array(2));
  return (((words[0] as bigint) << 64n) | (words[1] as bigint)) % count;
};

const exhausted = (object: string, { vpc, name, cidrs }: Subnet): MegrezError =>
  new MegrezError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'SUBNET_EXHAUSTED',
    object,
    message: `subnet ${vpc}/${name} (${cidrs.join(', ')}) has no free address`,
  });
