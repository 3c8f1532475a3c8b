import {
  type Address,
  Affinity,
  type CreateServiceRequest,
  checkEndpointAddress,
  defaultMac,
  type Endpoint,
  familyOf,
  formatAddress,
  type HeldAddress,
  MegrezError,
  objectName,
  parseCidr,
  Refusal,
  type Service,
  type Subnet,
  validateCreateService,
} from '@megrez/model';
import { type Entry, keys, type TxnResult } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { pickAddress } from '../provisioning/address-pick';
import { refuseDeleting } from '../provisioning/endpoint-create';
import { pathOf } from '../provisioning/endpoint-write';
import { finishHeld, releaseHeld } from '../provisioning/held';
import { findSubnet, newMeta } from '../provisioning/lookup';
import { contended, sameRequest } from '../provisioning/vpc';
import type { Call } from '../server/rpc';
import { bucketsOf, findBackends } from './backends';
import { confirmHolders } from './confirm';
import { shownService } from './find';
import { checkTime } from './time';
import { creation, keysOf, removal } from './write';

const attempts = 100;
const family = 4;

/** One txn, then the acknowledgements of all holders of slots of the subnet: any of them may be asked for a backend. */
export const createService = async (context: Context, request: CreateServiceRequest, call: Call): Promise<Service> => {
  const { store, metrics } = context;
  const fields = validateCreateService(request);
  const { vpc, subnet, name, requestId } = request;
  const object = objectName.service(vpc, subnet, name);
  let taken: MegrezError | undefined;
  for (let attempt = 0, refusals = 0; attempt < attempts; attempt += 1) {
    checkTime(context, object, call, 'nothing was stored');
    const view = await findSubnet(context, vpc, subnet, true);
    const { vni, number } = view.subnet.value;
    const existing = await store.get(keys.service(vni, number, name));
    if (existing !== undefined) {
      sameRequest(existing, requestId, object);
      return settle(context, existing, call);
    }
    refuseDeleting(object, view);
    const address = fields.ip ?? (await choose(context, view.subnet.value, refusals, object));
    checkServiceAddress(object, address, view.subnet.value);
    const { backends, compares } = await findBackends(context, {
      object,
      vpc: view.vpc.value,
      family,
      wanted: fields.backends,
      present: [],
    });
    const service: Service = {
      meta: newMeta(requestId),
      ...{ vpc, subnet, name, vni },
      subnetNumber: number,
      ip: formatAddress(address),
      mac: defaultMac(address),
      ports: [...fields.ports],
      backends: [...backends],
      affinity: request.affinity || Affinity.NONE,
      affinityTimeoutMs: request.affinityTimeoutMs,
      drainMs: request.drainMs,
      refusal: request.refusal || Refusal.TELL,
      buckets: bucketsOf(backends),
    };
    const change = creation(service, view, compares);
    const result = await store.txn(change.compares, change.operations);
    if (result.succeeded) return settle(context, { value: service, revision: result.revision }, call);
    metrics.retries.inc();
    taken = await takenBy(context, object, service, fields.ip !== undefined, result);
    if (taken === undefined) continue;
    if (fields.ip !== undefined) throw taken;
    refusals += 1;
  }
  throw taken ?? contended(object);
};

/** A service that a host cannot have is taken back. */
const settle = async (context: Context, service: Stored<Service>, call: Call): Promise<Service> => {
  const refusal = await confirmHolders(context, service, call, 'is stored');
  if (refusal === undefined) return shownService(service);
  const { compares, operations } = removal(service);
  await context.store.txn(compares, operations);
  throw refusal;
};

const choose = async (context: Context, subnet: Subnet, refusals: number, object: string): Promise<Address> => {
  const cidr = subnet.cidrs.map(parseCidr).find((candidate) => candidate.family === family);
  if (cidr === undefined) throw wrongFamily(object, `subnet ${subnet.vpc}/${subnet.name} has no IPv4 addresses`);
  return pickAddress(context, subnet, cidr, refusals, object);
};

const checkServiceAddress = (object: string, address: Address, subnet: Subnet): void => {
  checkEndpointAddress(object, address, subnet);
  if (familyOf(address) !== family) throw wrongFamily(object, `${formatAddress(address)} is not an IPv4 address`);
};

const wrongFamily = (object: string, why: string): MegrezError =>
  new MegrezError({
    code: 'INVALID_ARGUMENT',
    reason: 'SERVICE_FAMILY',
    object,
    message: `${why}: services have IPv4 addresses`,
  });

/** Whose the address is; undefined when something else has changed, or the address is free by now: look again. */
const takenBy = async (
  context: Context,
  object: string,
  service: Service,
  named: boolean,
  result: Extract<TxnResult, { succeeded: false }>,
): Promise<MegrezError | undefined> => {
  const own = keysOf(service);
  const current = new Map(result.failed.map(({ compare, current: now }) => [pathOf(compare), now]));
  if (current.has(own.service.path)) return undefined;
  const inUse = (reason: string, message: string): MegrezError =>
    new MegrezError({ code: 'ALREADY_EXISTS', reason, object, message: `${service.ip} ${message}` });
  const other = current.get(own.address.path) as Entry<Service> | undefined;
  if (other !== undefined) {
    const { vpc, subnet, name } = other.value;
    return inUse('ADDRESS_IN_USE', `is the address of ${objectName.service(vpc, subnet, name)}`);
  }
  const endpoint = current.get(own.endpoint.path) as Entry<Endpoint> | undefined;
  if (endpoint !== undefined) {
    const { vpc, subnet, name } = endpoint.value;
    return inUse('ADDRESS_IN_USE', `is the address of ${objectName.endpoint(vpc, subnet, name)}`);
  }
  const held = current.get(own.held.path) as Entry<HeldAddress> | undefined;
  if (held === undefined) return undefined;
  const state = await finishHeld(context, held);
  if (state === 'free' || (state === 'detached' && named && (await releaseHeld(context, held)))) return undefined;
  const hosts = held.value.hosts.join(', ');
  return inUse('ADDRESS_HELD', `belonged to a deleted endpoint that ${hosts} may still know`);
};
