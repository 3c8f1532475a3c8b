import {
  addressHex,
  type DeleteServiceRequest,
  type Endpoint,
  objectName,
  parseAddress,
  type Service,
  validateServiceName,
} from '@megrez/model';
import { type Entry, keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { contended } from '../provisioning/vpc';
import type { Call } from '../server/rpc';
import { semaphore } from '../support/semaphore';
import { bucketsOf } from './backends';
import { confirmHolders } from './confirm';
import { findService, shownService } from './find';
import { removal, replacement } from './write';

const attempts = 20;
const concurrent = 16;
const page = 500;

/** Returns when no bouncer knows the service any more. Repeating the call answers NOT_FOUND. */
export const deleteService = async (context: Context, request: DeleteServiceRequest, call: Call): Promise<Service> => {
  validateServiceName(request);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const entry = await findService(context, request);
    const revision = await remove(context, entry);
    if (revision === undefined) continue;
    await confirmHolders(context, { value: entry.value, revision }, call, 'is removed');
    return shownService(entry);
  }
  throw contended(objectName.service(request.vpc, request.subnet, request.name));
};

/** The revision at which it went; undefined when somebody else changed it first. */
const remove = async ({ store, metrics }: Context, entry: Stored<Service>): Promise<number | undefined> => {
  const { compares, operations } = removal(entry);
  const result = await store.txn(compares, operations);
  if (result.succeeded) return result.revision;
  metrics.retries.inc();
  return undefined;
};

/** All services of a VPC, or of one of its subnets: those of a cascade. What comes meanwhile is left. */
export const removeServices = async (context: Context, vni: number, subnet: number | undefined, call: Call) => {
  const gate = semaphore(concurrent);
  for (;;) {
    const { entries } = await context.store.range(prefixes.services(vni, subnet), { limit: page });
    if (entries.length === 0) return;
    if (context.closing.aborted || performance.now() > call.deadline_ms) throw contended(nameOf(entries[0]?.value));
    const removed = await Promise.all(
      entries.map((entry) => gate(async () => ({ value: entry.value, revision: await remove(context, entry) }))),
    );
    await confirmEach(context, removed, call, 'is removed');
  }
};

const nameOf = (service: Service | undefined): string =>
  objectName.service(service?.vpc ?? '', service?.subnet ?? '', service?.name ?? '');

/** Of the services of each subnet it is enough to wait for the last change. */
const confirmEach = async (
  context: Context,
  changed: readonly { readonly value: Service; readonly revision: number | undefined }[],
  call: Call,
  what: string,
): Promise<void> => {
  const last = new Map<number, Stored<Service>>();
  for (const { value, revision } of changed) {
    const before = last.get(value.subnetNumber);
    if (revision === undefined || (before?.revision ?? 0) > revision) continue;
    last.set(value.subnetNumber, { value, revision });
  }
  await Promise.all([...last.values()].map((service) => confirmHolders(context, service, call, what)));
};

/**
 * Takes an endpoint that is to go out of the services whose backend it is, and waits until no bouncer sends new flows to
 * it. An endpoint is deleted only while no service has it.
 */
export const leaveServices = async (context: Context, endpoint: Endpoint, call: Call): Promise<void> => {
  const { vni, subnetNumber, ip, ip6 } = endpoint;
  const gate = semaphore(concurrent);
  const own = [ip, ip6].filter((text) => text !== '').map((text) => addressHex(parseAddress(text)));
  for (const address of own) {
    const { entries } = await context.store.range(prefixes.backends(vni, subnetNumber, address));
    const changed = await Promise.all(entries.map((index) => gate(() => leave(context, index, endpoint))));
    await confirmEach(context, changed.flat(), call, 'has a backend less');
  }
};

const leave = async ({ store, metrics }: Context, index: Entry<Service>, endpoint: Endpoint) => {
  const { vni, subnetNumber, name } = index.value;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const entry = await store.get(keys.service(vni, subnetNumber, name));
    if (entry === undefined) return [];
    const backends = entry.value.backends.filter(
      (backend) => backend.subnetNumber !== endpoint.subnetNumber || ![endpoint.ip, endpoint.ip6].includes(backend.ip),
    );
    if (backends.length === entry.value.backends.length) return [];
    const after = { ...entry.value, backends, buckets: bucketsOf(backends, entry.value.buckets) };
    const { compares, operations } = replacement(entry, after, []);
    const result = await store.txn(compares, operations);
    if (result.succeeded) return [{ value: after, revision: result.revision }];
    metrics.retries.inc();
  }
  throw contended(nameOf(index.value));
};
