import { Endpoint, type HeldAddress, MegrezError, objectName, type Service } from '@megrez/model';
import type { Compare, Entry, Operation, TxnResult } from '@megrez/store';
import type { Context } from '../context';
import { type Candidate, creation, isNamed, keysOf, ownCompares, sharedCompares } from './endpoint-draft';
import { finishHeld, releaseHeld } from './held';

export type Outcome =
  | { readonly kind: 'created'; readonly revision: number }
  /** The object of the same request, made earlier. */
  | { readonly kind: 'existing'; readonly entry: Entry<Endpoint> }
  /** The address is taken; when it was chosen automatically another one can be tried. */
  | { readonly kind: 'address-taken'; readonly address: string; readonly error: MegrezError }
  /** What the create depends on has changed: look again. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'refused'; readonly error: MegrezError };

/** Most compares, and most operations, of one txn: etcd's limit. */
export const txn_limit = 128;

/** Conditions and writes of several creations as one txn; what they share is compared once. */
export const creationTxn = (candidates: readonly Candidate[]): { compares: Compare[]; operations: Operation[] } => {
  const compares = new Map<string, Compare>();
  for (const candidate of candidates) {
    for (const compare of [...ownCompares(candidate), ...sharedCompares(candidate)]) {
      compares.set(pathOf(compare), compare);
    }
  }
  return { compares: [...compares.values()], operations: candidates.flatMap(creation) };
};

export const pathOf = (compare: Compare): string => (compare.kind === 'empty' ? compare.prefix.path : compare.key.path);

/** Says why a single creation was not written. */
export const judge = async (
  context: Context,
  candidate: Candidate,
  result: Extract<TxnResult, { succeeded: false }>,
): Promise<Outcome> => {
  const { endpoint, draft, ip } = candidate;
  const own = keysOf(endpoint, ip);
  const current = new Map(result.failed.map(({ compare, current: now }) => [pathOf(compare), now]));
  if (current.has(own.name.path)) {
    const index = current.get(own.name.path) as Entry<Endpoint> | undefined;
    const existing = index && (await readByIndex(context, index.value, endpoint.name));
    if (existing === undefined) return { kind: 'stale' };
    const { requestId } = draft.request;
    if (requestId !== '' && existing.value.meta?.requestId === requestId) return { kind: 'existing', entry: existing };
    return { kind: 'refused', error: inUse(draft.object, 'NAME_IN_USE', `${draft.object} exists already`) };
  }
  for (const key of own.slots) {
    const holder = current.get(key.path) as Entry<Endpoint> | undefined;
    if (holder === undefined) continue;
    const { vpc, subnet, name } = holder.value;
    const address = key.path === own.endpoint.path ? endpoint.ip : endpoint.ip6;
    const message = `${address} is the address of ${objectName.endpoint(vpc, subnet, name)}`;
    return { kind: 'address-taken', address, error: inUse(draft.object, 'ADDRESS_IN_USE', message) };
  }
  for (const [n, key] of own.services.entries()) {
    const holder = current.get(key.path) as Entry<Service> | undefined;
    if (holder === undefined) continue;
    const { vpc, subnet, name } = holder.value;
    const address = n === 0 ? endpoint.ip : endpoint.ip6;
    const message = `${address} is the address of ${objectName.service(vpc, subnet, name)}`;
    return { kind: 'address-taken', address, error: inUse(draft.object, 'ADDRESS_IN_USE', message) };
  }
  if (own.mac !== undefined && current.has(own.mac.path)) {
    const message = `${endpoint.mac} is the MAC address of another endpoint of the subnet`;
    return { kind: 'refused', error: inUse(draft.object, 'MAC_IN_USE', message) };
  }
  for (const [n, key] of own.held.entries()) {
    const held = current.get(key.path) as Entry<HeldAddress> | undefined;
    if (held === undefined) continue;
    const address = n === 0 ? endpoint.ip : endpoint.ip6;
    const state = await finishHeld(context, held);
    // Somebody who names the address knows that its host is gone; nobody else is given it.
    const taken = state === 'detached' && isNamed(draft, address) && (await releaseHeld(context, held));
    if (state === 'free' || taken) return { kind: 'stale' };
    const message = `${address} belonged to a deleted endpoint that ${held.value.hosts.join(', ')} may still know; it is free when they confirm`;
    return { kind: 'address-taken', address, error: inUse(draft.object, 'ADDRESS_HELD', message) };
  }
  return { kind: 'stale' };
};

const inUse = (object: string, reason: string, message: string): MegrezError =>
  new MegrezError({ code: 'ALREADY_EXISTS', reason, object, message });

/**
 * The endpoint of this name, where its index entry says. The entry may be of a moment ago: who has the address now is
 * another one then.
 */
export const readByIndex = async (
  { store }: Context,
  { vni, subnetNumber, slot, ip }: Endpoint,
  name: string,
): Promise<Entry<Endpoint> | undefined> => {
  const { endpoint } = keysOf(Endpoint.create({ vni, subnetNumber, slot, ip }));
  const entry = await store.get(endpoint);
  return entry?.value.name === name ? entry : undefined;
};
