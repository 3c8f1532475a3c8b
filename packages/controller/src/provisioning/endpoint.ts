import {
  type DeleteEndpointRequest,
  type Endpoint,
  type GetEndpointRequest,
  type ListEndpointsRequest,
  type ListEndpointsResponse,
  MegrezError,
  objectName,
  validateDeleteEndpoint,
  validateGetEndpoint,
  validateListEndpoints,
} from '@megrez/model';
import { type Entry, keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import { isAttached } from '../relay/attachment';
import { lateError } from '../relay/readiness';
import type { Call } from '../server/rpc';
import { keysOf } from './endpoint-draft';
import { removeEndpoint } from './endpoint-remove';
import { readByIndex } from './endpoint-write';
import { findSubnet, findVpc, shown } from './lookup';
import { readPage } from './paging';
import { contended } from './vpc';

const attempts = 20;

export const getEndpoint = async (context: Context, request: GetEndpointRequest): Promise<Endpoint> => {
  validateGetEndpoint(request);
  return shown(await findEndpoint(context, request));
};

export const findEndpoint = async (
  context: Context,
  { vpc, subnet, name }: GetEndpointRequest,
): Promise<Entry<Endpoint>> => {
  const view = await findSubnet(context, vpc, subnet);
  const { vni, number } = view.subnet.value;
  const index = await context.store.get(keys.name(vni, number, name));
  const entry = index && (await readByIndex(context, index.value, name));
  if (entry !== undefined) return entry;
  const object = objectName.endpoint(vpc, subnet, name);
  throw new MegrezError({
    code: 'NOT_FOUND',
    reason: 'ENDPOINT_NOT_FOUND',
    object,
    message: `${object} does not exist`,
  });
};

export const listEndpoints = async (
  context: Context,
  request: ListEndpointsRequest,
): Promise<ListEndpointsResponse> => {
  const size = validateListEndpoints(request);
  const { vpc, subnet, host } = request;
  const view = subnet === '' ? undefined : await findSubnet(context, vpc, subnet);
  const vni = view?.subnet.value.vni ?? (vpc === '' ? undefined : (await findVpc(context, vpc, true)).value.vni);
  const number = view?.subnet.value.number;
  if (host === '') {
    const page = await readPage(context.store, prefixes.endpoints(vni, number), size, request.pageToken);
    // Under its second address an endpoint is there once more.
    const firsts = page.entries.filter(({ path, value }) => path === keysOf(value).endpoint.path);
    return { endpoints: firsts.map(shown), nextPageToken: page.next };
  }
  // A host's own endpoints are few beside a subnet's: sift them; a page may be shorter than asked for.
  const page = await readPage(context.store, prefixes.byHost(host), size, request.pageToken);
  const wanted = page.entries.filter(({ value }) => {
    // While it moves an endpoint is an entry of two hosts, and at one of them.
    if (value.host !== host) return false;
    return (vni === undefined || value.vni === vni) && (number === undefined || value.subnetNumber === number);
  });
  return { endpoints: wanted.map(shown), nextPageToken: page.next };
};

/**
 * Returns when host and bouncers have forgotten the endpoint. Hosts that are detached are not waited for: they forget it
 * when they come back, and until then nobody is given the address who does not ask for it by itself. DEADLINE_EXCEEDED:
 * the endpoint is removed, but attached hosts are slow. Repeating the call answers NOT_FOUND.
 */
export const deleteEndpoint = async (
  context: Context,
  request: DeleteEndpointRequest,
  call: Call,
): Promise<Endpoint> => {
  const started = performance.now();
  const { timeout_ms } = validateDeleteEndpoint(request);
  const deadline_ms = Math.min(call.deadline_ms, started + timeout_ms);
  const object = objectName.endpoint(request.vpc, request.subnet, request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const entry = await findEndpoint(context, request);
    const removed = await removeEndpoint(context, entry, deadline_ms);
    if (removed.kind === 'changed') continue;
    if (removed.kind === 'late') {
      const slow = removed.hosts.filter((late) => isAttached(context, late));
      if (slow.length > 0) throw lateError(object, slow, deadline_ms - started, 'is removed');
    }
    return shown(entry);
  }
  throw contended(object);
};
