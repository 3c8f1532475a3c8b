import {
  type DeleteSubnetRequest,
  type Endpoint,
  limits,
  MegrezError,
  objectName,
  type SlotTable,
  type Subnet,
  validateSubnetName,
} from '@megrez/model';
import { type Compare, type Entry, type Key, keys, type Operation, prefixes } from '@megrez/store';
import type { Context } from '../context';
import { type Stored, tableView } from '../mirror';
import { isAttached } from '../relay/attachment';
import { lateError } from '../relay/readiness';
import type { Call } from '../server/rpc';
import { leaveServices, removeServices } from '../services';
import { keysOf } from './endpoint-draft';
import { forget, removal } from './endpoint-remove';
import { pathOf, txn_limit } from './endpoint-write';
import { findVpc, newMeta, shown, subnetNotFound } from './lookup';
import { confirmOwners, ownerHosts } from './owners';
import { contended } from './vpc';

const attempts = 20;
/** Endpoints per txn: five writes each, more with two addresses or while they move. */
const chunk = 25;
/** With less time left no further chunk is begun; timers may also fire a moment before their time. */
const chunk_ms = 10;

export const deleteSubnet = async (context: Context, request: DeleteSubnetRequest, call: Call): Promise<Subnet> => {
  validateSubnetName(request);
  const { store } = context;
  const { vni } = (await findVpc(context, request.vpc, true)).value;
  const index = await store.get(keys.subnetName(vni, request.name));
  const subnet = index && (await store.get(keys.subnet(vni, index.value.number)));
  if (subnet === undefined) throw subnetNotFound(request.vpc, request.name);
  await removeSubnet(context, subnet.value, request.cascade, call);
  return shown(subnet);
};

/**
 * Removes a subnet, with `cascade` its services and endpoints too; taken up again where an earlier call stopped.
 * @throws MegrezError DEADLINE_EXCEEDED / HOSTS_NOT_READY: it is gone, but hosts that had its endpoints, or owned its slots,
 *   are slow to forget
 */
export const removeSubnet = async (context: Context, found: Subnet, cascade: boolean, call: Call): Promise<void> => {
  const { store } = context;
  const { vni, number, name } = found;
  const object = objectName.subnet(found.vpc, name);
  const key = keys.subnet(vni, number);
  const started = performance.now();
  const late = new Set<string>();
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const subnet = await store.get(key);
    if (subnet === undefined) return;
    const endpoints = await store.count(prefixes.names(vni, number));
    const services = await store.count(prefixes.services(vni, number));
    if (endpoints + services > 0 && !cascade) throw inUse(object, endpoints, services);
    if (endpoints + services > 0) {
      if (!(await mark(context, subnet))) continue;
      await removeServices(context, vni, number, call);
      for (const host of await removeEndpoints(context, found, call)) late.add(host);
      continue;
    }
    const tableKeys = [keys.slots(vni, number), keys.slots(vni, 0)];
    const tables = await store.getMany(tableKeys);
    const result = await store.txn(
      [
        { kind: 'revision', key, revision: subnet.revision },
        { kind: 'empty', prefix: prefixes.endpoints(vni, number) },
        { kind: 'empty', prefix: prefixes.services(vni, number) },
        // Who became an owner since would not be waited for.
        ...tableKeys.map((table, i) => unchanged(table, tables[i])),
      ],
      [
        { kind: 'remove', key },
        { kind: 'remove', key: keys.subnetName(vni, name) },
        { kind: 'remove', key: keys.slots(vni, number) },
      ],
    );
    if (!result.succeeded) {
      context.metrics.retries.inc();
      continue;
    }
    const hosts = ownerHosts(...tables.map((table) => table?.value));
    await confirmOwners(context, { object, hosts, revision: result.revision, call, what: 'is removed' });
    const slow = [...late].filter((host) => isAttached(context, host)).sort();
    if (slow.length > 0) throw lateError(object, slow, performance.now() - started, 'is removed');
    return;
  }
  throw contended(object);
};

export const unchanged = (key: Key<SlotTable>, entry: Entry<SlotTable> | undefined): Compare =>
  entry === undefined ? { kind: 'absent', key } : { kind: 'revision', key, revision: entry.revision };

const inUse = (object: string, endpoints: number, services: number): MegrezError => {
  const counts = [
    { noun: 'endpoint', count: endpoints },
    { noun: 'service', count: services },
  ].filter(({ count }) => count > 0);
  const inside = counts.map(({ noun, count }) => `${count} ${noun}${count === 1 ? '' : 's'}`).join(' and ');
  return new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'SUBNET_IN_USE',
    object,
    message: `${object} has ${inside}: delete ${endpoints + services === 1 ? 'it' : 'them'} first, or cascade`,
  });
};

/** From now on creates inside are refused. False when somebody else changed the subnet first. */
const mark = async ({ store }: Context, { value, revision }: Stored<Subnet>): Promise<boolean> => {
  if (value.meta?.deleting === true) return true;
  const key = keys.subnet(value.vni, value.number);
  const marked = { ...value, meta: { ...(value.meta ?? newMeta('')), deleting: true } };
  return (await store.txn([{ kind: 'revision', key, revision }], [{ kind: 'put', key, value: marked }])).succeeded;
};

/** In chunks; each waits for its hosts, so that a cascade is never far ahead of the fleet. The hosts that did not confirm. */
const removeEndpoints = async (context: Context, found: Subnet, call: Call): Promise<ReadonlySet<string>> => {
  const { store } = context;
  const { vni, number } = found;
  const object = objectName.subnet(found.vpc, found.name);
  const late = new Set<string>();
  for (let refused = 0; refused < attempts; ) {
    if (context.closing.aborted) throw unfinished(object, 'UNAVAILABLE');
    if (call.deadline_ms - performance.now() < chunk_ms) throw unfinished(object, 'DEADLINE_EXCEEDED');
    const { entries } = await store.range(prefixes.endpoints(vni, number), { limit: chunk });
    if (entries.length === 0) return late;
    const entry = await store.get(keys.slots(vni, number));
    const table = entry && tableView(entry.value, entry.revision);
    const removals = fitting(unique(entries).map((endpoint) => removal(endpoint, table)));
    const compares = new Map<string, Compare>();
    for (const compare of removals.flatMap((one) => one.compares)) {
      compares.set(pathOf(compare), compare);
    }
    const operations: Operation[] = removals.flatMap((one) => one.operations);
    const result = await store.txn([...compares.values()], operations);
    if (!result.succeeded) {
      const failed = new Set(result.failed.map(({ compare }) => pathOf(compare)));
      for (const { value } of entries) {
        if (keysOf(value).backends.some(({ path }) => failed.has(path))) await leaveServices(context, value, call);
      }
      refused += 1;
      continue;
    }
    refused = 0;
    const held = removals.map((one) => ({ value: one.held, revision: result.revision }));
    const wait_ms = Math.min(call.deadline_ms, performance.now() + limits.timeout_ms.default);
    const removed = await forget(context, held, wait_ms);
    for (const host of removed.kind === 'late' ? removed.hosts : []) late.add(host);
  }
  throw contended(object);
};

/** An endpoint with two addresses is in the range twice. */
const unique = (entries: readonly Entry<Endpoint>[]): readonly Entry<Endpoint>[] => [
  ...new Map(entries.map((entry) => [entry.value.ip, entry])).values(),
];

/** As many as one txn takes. */
const fitting = <T extends { readonly operations: readonly Operation[] }>(removals: readonly T[]): readonly T[] => {
  let left = txn_limit;
  return removals.filter(({ operations }) => {
    left -= operations.length;
    return left >= 0;
  });
};

const unfinished = (object: string, code: 'UNAVAILABLE' | 'DEADLINE_EXCEEDED'): MegrezError =>
  new MegrezError({
    code,
    reason: 'DELETE_UNFINISHED',
    object,
    message: `${object} takes nothing new, but has endpoints left: delete it again to go on`,
  });
