import {
  type BatchCreateEndpointsRequest,
  type BatchCreateEndpointsResponse,
  type BatchCreateEndpointsResult,
  type CreateEndpointRequest,
  codes,
  type Endpoint,
  MegrezError,
  validateBatchCreateEndpoints,
} from '@megrez/model';
import { keys } from '@megrez/store';
import type { Context } from '../context';
import { settledAttachment } from '../relay/attachment';
import { lateError, waitHosts } from '../relay/readiness';
import { toMegrezError } from '../server/errors';
import type { Call } from '../server/rpc';
import { addressesFor } from './addresses';
import { type Candidate, candidateOf, type Draft, draftOf, hostsOf, isNamed } from './endpoint-draft';
import { removeEndpoint } from './endpoint-remove';
import { readByIndex } from './endpoint-write';
import { deletingError, findHost, findSubnet, type SubnetView, shown } from './lookup';
import { contended } from './vpc';

/** Retries end with the caller's deadline; this many end a livelock. */
const attempts = 200;
const rollback_ms = 2_000;

interface Written {
  readonly endpoint: Endpoint;
  readonly revision: number;
  readonly view: SubnetView;
}

/** One txn, then the acknowledgements of the endpoint's host and of the holders of its slot, nobody else's. */
export const createEndpoint = async (
  context: Context,
  request: CreateEndpointRequest,
  call: Call,
): Promise<Endpoint> => {
  const started = performance.now();
  const draft = draftOf(request);
  const deadline_ms = Math.min(call.deadline_ms, started + draft.timeout_ms);
  const written = await write(context, draft, deadline_ms);
  const endpoint = await settle(context, draft, written, deadline_ms, deadline_ms - started);
  context.metrics.creation.observe((performance.now() - started) / 1_000);
  return endpoint;
};

/** Each request as if it were alone; those that come together share txns. */
export const batchCreateEndpoints = async (
  context: Context,
  request: BatchCreateEndpointsRequest,
  call: Call,
): Promise<BatchCreateEndpointsResponse> => {
  validateBatchCreateEndpoints(request);
  const create = async (one: CreateEndpointRequest): Promise<BatchCreateEndpointsResult> => {
    try {
      return { result: { oneofKind: 'endpoint', endpoint: await createEndpoint(context, one, call) } };
    } catch (error) {
      const { code, message, reason, object, hosts } = toMegrezError(error, context.log);
      const detail = { reason, object, hosts: [...hosts] };
      return { result: { oneofKind: 'error', error: { code: codes[code], message, detail } } };
    }
  };
  return { results: await Promise.all(request.requests.map(create)) };
};

const write = async (context: Context, draft: Draft, deadline_ms: number): Promise<Written> => {
  const { request, object } = draft;
  let taken: MegrezError | undefined;
  let refusals = { first: 0, second: 0 };
  for (let attempt = 0, fresh = false; attempt < attempts; attempt += 1) {
    if (performance.now() > deadline_ms) throw taken ?? contended(object);
    const view = await findSubnet(context, request.vpc, request.subnet, fresh);
    const host = await findHost(context, request.host, fresh);
    if (!(await settledAttachment(context, request.host, deadline_ms))) {
      const existing = await sameRequest(context, draft, view);
      if (existing !== undefined) return existing;
      throw detached(object, request.host);
    }
    refuseDeleting(object, view);
    const addresses = await addressesFor(context, draft, view.subnet.value, refusals);
    const candidate: Candidate = candidateOf(draft, view, host, addresses);
    const outcome = await context.writeEndpoint(candidate);
    switch (outcome.kind) {
      case 'created':
        return { endpoint: candidate.endpoint, revision: outcome.revision, view };
      case 'existing':
        return { endpoint: outcome.entry.value, revision: outcome.entry.revision, view };
      case 'refused':
        throw outcome.error;
      case 'address-taken':
        if (isNamed(draft, outcome.address)) throw outcome.error;
        taken = outcome.error;
        if (outcome.address === candidate.endpoint.ip) refusals = { ...refusals, first: refusals.first + 1 };
        else refusals = { ...refusals, second: refusals.second + 1 };
        break;
      case 'stale':
        fresh = true;
    }
  }
  throw taken ?? contended(object);
};

export const refuseDeleting = (object: string, { vpc, subnet }: SubnetView): void => {
  if (vpc.value.meta?.deleting) throw deletingError(object, `vpc ${vpc.value.name}`);
  if (subnet.value.meta?.deleting) throw deletingError(object, `subnet ${vpc.value.name}/${subnet.value.name}`);
};

const detached = (object: string, host: string): MegrezError =>
  new MegrezError({
    code: 'UNAVAILABLE',
    reason: 'HOST_DETACHED',
    object,
    hosts: [host],
    message: `host ${host} is detached: its agent has no session; nothing was created`,
  });

/** What an earlier call with the same name and request id has made, although its host is gone for now. */
const sameRequest = async (context: Context, { request }: Draft, view: SubnetView): Promise<Written | undefined> => {
  if (request.requestId === '') return undefined;
  const { vni, number } = view.subnet.value;
  const index = await context.store.get(keys.name(vni, number, request.name));
  const entry = index && (await readByIndex(context, index.value, request.name));
  if (entry === undefined || entry.value.meta?.requestId !== request.requestId) return undefined;
  return { endpoint: entry.value, revision: entry.revision, view };
};

/** Waits for the hosts concerned; an endpoint that one of them cannot have is taken back. */
const settle = async (
  context: Context,
  { object }: Draft,
  { endpoint, revision, view }: Written,
  deadline_ms: number,
  timeout_ms: number,
): Promise<Endpoint> => {
  const { late, failures } = await waitHosts(context, {
    hosts: hostsOf(endpoint, view),
    required: new Set([endpoint.host]),
    revision,
    deadline_ms,
  });
  const failure = failures.find(({ ip, vni, subnetNumber }) => {
    return ip === endpoint.ip && vni === endpoint.vni && subnetNumber === endpoint.subnetNumber;
  });
  if (failure !== undefined) {
    await removeEndpoint(context, { value: endpoint, revision }, performance.now() + rollback_ms);
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: failure.reason === '' ? 'HOST_REFUSED' : failure.reason,
      object,
      hosts: [failure.host],
      message: `host ${failure.host} cannot have ${object}: ${failure.message}`,
    });
  }
  if (late.length > 0) throw lateError(object, late, timeout_ms, 'is stored');
  return shown({ value: endpoint, revision });
};
