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
import { checkTime } from './time';
import { type Change, combined, packed, removal, replacement } from './write';

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
  for (let refused = 0; refused < attempts; ) {
    const { entries } = await context.store.range(prefixes.services(vni, subnet), { limit: page });
    if (entries.length === 0) return;
    checkTime(context, nameOf(entries[0]?.value), call, 'it is not removed yet');
    const changes = entries.map((entry) => ({ service: entry.value, ...removal(entry) }));
    const { written } = await writeAll(context, changes);
    refused = written.length > 0 ? 0 : refused + 1;
    await confirmEach(context, written, call, 'is removed');
  }
  throw contended(`services of VNI ${vni}`);
};

const nameOf = (service: Service | undefined): string =>
  objectName.service(service?.vpc ?? '', service?.subnet ?? '', service?.name ?? '');

interface ServiceChange extends Change {
  /** As it is then, or was. */
  readonly service: Service;
}

/** Many changes in few txns: one that somebody else forestalled fails with those beside it. */
const writeAll = async ({ store, metrics }: Context, changes: readonly ServiceChange[]) => {
  const gate = semaphore(concurrent);
  const written: Stored<Service>[] = [];
  let failed = 0;
  const write = async (pack: readonly ServiceChange[]): Promise<void> => {
    const { compares, operations } = combined(pack);
    const result = await store.txn(compares, operations);
    if (result.succeeded) {
      written.push(...pack.map(({ service }) => ({ value: service, revision: result.revision })));
    } else {
      metrics.retries.inc();
      failed += pack.length;
    }
  };
  await Promise.all(packed(changes).map((pack) => gate(() => write(pack))));
  return { written, failed };
};

/** Of the services of each subnet it is enough to wait for the last change. */
const confirmEach = async (
  context: Context,
  changed: readonly Stored<Service>[],
  call: Call,
  what: string,
): Promise<void> => {
  const last = new Map<number, Stored<Service>>();
  for (const service of changed) {
    const { subnetNumber } = service.value;
    if ((last.get(subnetNumber)?.revision ?? 0) < service.revision) last.set(subnetNumber, service);
  }
  await Promise.all([...last.values()].map((service) => confirmHolders(context, service, call, what)));
};

/**
 * Takes an endpoint that is to go out of the services whose backend it is, and waits until no bouncer sends new flows to
 * it. An endpoint is deleted only while no service has it.
 */
export const leaveServices = async (context: Context, endpoint: Endpoint, call: Call): Promise<void> => {
  const { store } = context;
  const { vni, subnetNumber, ip, ip6 } = endpoint;
  const own = [ip, ip6].filter((text) => text !== '').map((text) => addressHex(parseAddress(text)));
  const changed: Stored<Service>[] = [];
  const object = objectName.endpoint(endpoint.vpc, endpoint.subnet, endpoint.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    checkTime(context, object, call, 'it is still a backend of services');
    const pages = await Promise.all(own.map((address) => store.range(prefixes.backends(vni, subnetNumber, address))));
    const indexes = pages.flatMap(({ entries }) => entries.map(({ value }) => value));
    const services = await store.getMany(indexes.map((one) => keys.service(vni, one.subnetNumber, one.name)));
    const changes = services.flatMap((entry) => (entry === undefined ? [] : without(entry, endpoint)));
    const { written, failed } = await writeAll(context, changes);
    changed.push(...written);
    if (failed === 0) return confirmEach(context, changed, call, 'has a backend less');
  }
  throw contended(object);
};

const without = (entry: Entry<Service>, endpoint: Endpoint): readonly ServiceChange[] => {
  const { value } = entry;
  const backends = value.backends.filter(
    ({ subnetNumber, ip }) => subnetNumber !== endpoint.subnetNumber || ![endpoint.ip, endpoint.ip6].includes(ip),
  );
  if (backends.length === value.backends.length) return [];
  const service = { ...value, backends, buckets: bucketsOf(backends, value.buckets) };
  return [{ service, ...replacement(entry, service, []) }];
};
