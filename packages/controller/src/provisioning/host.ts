import {
  addressHex,
  type DeleteHostRequest,
  type GetHostRequest,
  type Host,
  type ListHostsRequest,
  type ListHostsResponse,
  MegrezError,
  objectName,
  parseAddress,
  type UpdateHostRequest,
  validateHostName,
  validateListHosts,
  validateUpdateHost,
} from '@megrez/model';
import { keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { isAttached } from '../relay/attachment';
import { semaphore } from '../support/semaphore';
import { statusOf } from './host-status';
import { catchUp, findHost, shown } from './lookup';
import { readPage } from './paging';
import { contended } from './vpc';

const attempts = 20;
const concurrent_counts = 32;

export const getHost = async (context: Context, request: GetHostRequest): Promise<Host> => {
  validateHostName(request);
  return (await withStatus(context, [await findHost(context, request.name, true)]))[0] as Host;
};

export const listHosts = async (context: Context, request: ListHostsRequest): Promise<ListHostsResponse> => {
  const size = validateListHosts(request);
  const { entries, next } = await readPage(context.store, prefixes.hosts(), size, request.pageToken);
  return { hosts: await withStatus(context, entries), nextPageToken: next };
};

/** Every field is set to what the request says: a weight of 0 is the default, an empty zone none. */
export const updateHost = async (context: Context, request: UpdateHostRequest): Promise<Host> => {
  validateUpdateHost(request);
  const key = keys.host(request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { value, revision } = await findHost(context, request.name, true);
    const { weight, zone, ineligible } = request;
    const host = { ...value, weight, zone, ineligible };
    const result = await context.store.txn([{ kind: 'revision', key, revision }], [{ kind: 'put', key, value: host }]);
    if (result.succeeded) {
      await catchUp(context, result.revision);
      return (await withStatus(context, [{ value: host, revision: result.revision }]))[0] as Host;
    }
  }
  throw contended(objectName.host(request.name));
};

/** Refused while the host is of any use: endpoints, slots, or an agent that would register it again. */
export const deleteHost = async (context: Context, request: DeleteHostRequest): Promise<Host> => {
  validateHostName(request);
  const { store, mirror } = context;
  const object = objectName.host(request.name);
  const key = keys.host(request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const host = await findHost(context, request.name, true);
    const endpoints = await store.count(prefixes.byHost(request.name));
    if (endpoints > 0)
      throw inUse(object, 'HOST_HAS_ENDPOINTS', `has ${endpoints} endpoints: delete or move them first`);
    await catchUp(context, (await store.range(prefixes.hosts(), { limit: 1 })).revision);
    const listed = [...(mirror.tablesOf.get(request.name) ?? [])];
    const tables = listed.filter((table) => mirror.tables.get(table)?.slotsOf.has(request.name)).length;
    if (tables > 0) throw inUse(object, 'HOST_HAS_SLOTS', `owns slots of ${tables} tables: drain it first`);
    if (isAttached(context, request.name)) {
      throw inUse(object, 'HOST_ATTACHED', 'is attached: stop its agent first, or it would register again');
    }
    const result = await store.txn(
      [
        { kind: 'revision', key, revision: host.revision },
        { kind: 'empty', prefix: prefixes.byHost(request.name) },
      ],
      [
        { kind: 'remove', key },
        { kind: 'remove', key: keys.hostAddress(addressHex(parseAddress(host.value.address))) },
        { kind: 'remove', key: keys.session(request.name) },
      ],
    );
    if (result.succeeded) return shown(host);
  }
  throw contended(object);
};

const inUse = (object: string, reason: string, what: string): MegrezError =>
  new MegrezError({ code: 'FAILED_PRECONDITION', reason, object, message: `${object} ${what}` });

export const withStatus = async (context: Context, hosts: readonly Stored<Host>[]): Promise<Host[]> => {
  const known = await statusOf(
    context,
    hosts.map(({ value }) => value.name),
  );
  const gate = semaphore(concurrent_counts);
  return Promise.all(
    hosts.map(async (host) => {
      const { name } = host.value;
      const endpoints = await gate(() => context.store.count(prefixes.byHost(name)));
      const status = known.get(name) ?? { attached: false, relay: '', endpoints: 0, lastPingMs: 0 };
      return { ...shown(host), status: { ...status, endpoints } };
    }),
  );
};
