import {
  type Attachment,
  type Endpoint,
  MegrezError,
  type MoveEndpointRequest,
  objectName,
  validateMoveEndpoint,
} from '@megrez/model';
import { type Entry, keys } from '@megrez/store';
import type { Context } from '../context';
import { settledAttachment } from '../relay/attachment';
import { lateError, waitHosts } from '../relay/readiness';
import type { Call } from '../server/rpc';
import { findEndpoint } from './endpoint';
import { refuseDeleting } from './endpoint-create';
import { hostsOf, keysOf } from './endpoint-draft';
import { findHost, findSubnet, type SubnetView, shown } from './lookup';
import { beginning, cancellation, finish, type Step, switchover } from './move-steps';
import { contended } from './vpc';

/** Each is one txn, or one wait; more means that others change the endpoint all the time. */
const attempts = 100;

/** What is wanted of a move. */
interface Wish {
  readonly object: string;
  /** Name of the new host. */
  readonly target: string;
  /** Undefined keeps the endpoint's own, if that can be had on another host. */
  readonly attachment: Attachment | undefined;
  readonly force: boolean;
  readonly deadline_ms: number;
  readonly timeout_ms: number;
}

/**
 * Moves an endpoint with its address: (1) `moving_to` is set and the new host makes it; (2) `host` is the new one and the
 * owners of its slots say so; (3) the old host leaves a tombstone and forgets it. Each step is one txn, so that any
 * controller goes on where another stopped: a repeated call does, and what nobody asks about any more is taken up by
 * `sweepMoves`. A move to the host where the endpoint is succeeds at once, and calls off one that has not switched yet.
 * Of two calls with different targets the later wins; the other ends ABORTED / MOVE_SUPERSEDED.
 * @throws MegrezError NOT_FOUND; UNAVAILABLE / HOST_DETACHED (the new host); FAILED_PRECONDITION / HOST_DETACHED (the old
 *   one, unless forced: what it serves may live), BEING_DELETED, or the new host's reason why it cannot have the endpoint
 *   (the endpoint stays where it was); INVALID_ARGUMENT / ATTACHMENT_MISSING; DEADLINE_EXCEEDED / HOSTS_NOT_READY (the
 *   move goes on)
 */
export const moveEndpoint = async (context: Context, request: MoveEndpointRequest, call: Call): Promise<Endpoint> => {
  const started = performance.now();
  const { attachment, timeout_ms } = validateMoveEndpoint(request);
  const deadline_ms = Math.min(call.deadline_ms, started + timeout_ms);
  const { vpc, subnet, name, host: target, force } = request;
  const object = objectName.endpoint(vpc, subnet, name);
  const wish = { object, target, attachment, force, deadline_ms, timeout_ms: deadline_ms - started };
  return drive(context, wish, () => findEndpoint(context, request));
};

/** Takes every step that is left. `read` finds the endpoint as it is now. */
export const drive = async (context: Context, wish: Wish, read: () => Promise<Entry<Endpoint>>): Promise<Endpoint> => {
  // Once the endpoint was on its way to the target, only somebody else can have turned it elsewhere.
  let joined = false;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const entry = await read();
    const view = await findSubnet(context, entry.value.vpc, entry.value.subnet, true);
    const { host, movingTo, movedFrom } = entry.value;
    const onItsWay = movedFrom === '' ? (movingTo === '' ? host : movingTo) : host;
    if (joined && onItsWay !== wish.target) throw superseded(wish, onItsWay);
    joined ||= onItsWay === wish.target && (movingTo !== '' || movedFrom !== '');
    if (movedFrom !== '') await leave(context, wish, entry, view);
    else if (movingTo === wish.target) await arrive(context, wish, entry, view);
    else if (host === wish.target && movingTo !== '') await write(context, cancellation(entry, view));
    else if (host === wish.target) return settled(context, wish, entry);
    else await begin(context, wish, entry, view);
  }
  throw contended(wish.object);
};

/** Step 1: the new host is to make the endpoint. */
const begin = async (context: Context, wish: Wish, entry: Entry<Endpoint>, view: SubnetView): Promise<void> => {
  const { object, target, deadline_ms } = wish;
  refuseDeleting(object, view);
  const host = await findHost(context, target, true);
  const attachment = attachmentAt(wish, entry.value);
  await requireOldHost(context, wish, entry.value.host);
  if (!(await settledAttachment(context, target, deadline_ms))) {
    throw new MegrezError({
      code: 'UNAVAILABLE',
      reason: 'HOST_DETACHED',
      object,
      hosts: [target],
      message: `host ${target} is detached: its agent has no session; nothing was moved`,
    });
  }
  await write(context, beginning(entry, view, host, attachment));
};

/** An interface of the old host's own says nothing about the new one. */
const attachmentAt = ({ object, target, attachment }: Wish, endpoint: Endpoint): Attachment => {
  const kind = endpoint.attachment?.kind.oneofKind;
  if (attachment !== undefined) return attachment;
  if (kind === 'netns' || kind === 'tap') {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'ATTACHMENT_MISSING',
      object,
      message: `${object} has a ${kind === 'tap' ? 'tap device' : 'network namespace'} of host ${endpoint.host}: say what it is attached to on host ${target}`,
    });
  }
  return endpoint.attachment ?? { kind: { oneofKind: 'managed', managed: {} } };
};

const requireOldHost = async (context: Context, wish: Wish, host: string): Promise<void> => {
  if (wish.force || !context.mirror.hosts.has(host)) return;
  if (await settledAttachment(context, host, wish.deadline_ms)) return;
  throw new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'HOST_DETACHED',
    object: wish.object,
    hosts: [host],
    message: `host ${host} is detached, but what it serves may live: bring its agent back, or move with force`,
  });
};

/** The new host has made the endpoint, or says why not; then step 2. */
const arrive = async (context: Context, wish: Wish, entry: Entry<Endpoint>, view: SubnetView): Promise<void> => {
  const { object, target, deadline_ms, timeout_ms } = wish;
  const { late, failures } = await waitHosts(context, {
    hosts: [target],
    required: new Set([target]),
    revision: entry.revision,
    deadline_ms,
  });
  const failure = failures.find(({ vni, ip }) => vni === entry.value.vni && ip === entry.value.ip);
  if (failure !== undefined) {
    await write(context, cancellation(entry, view));
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: failure.reason === '' ? 'HOST_REFUSED' : failure.reason,
      object,
      hosts: [target],
      message: `host ${target} cannot have ${object}: ${failure.message}`,
    });
  }
  if (late.length > 0) throw lateError(object, late, timeout_ms, `is on its way to host ${target}`);
  await requireOldHost(context, wish, entry.value.host);
  const { vni, subnetNumber } = entry.value;
  const copy = await context.store.get(keys.byHost(target, vni, subnetNumber, keysOf(entry.value).ip));
  const host = await findHost(context, target, true);
  if (copy !== undefined) await write(context, switchover(entry, view, host, copy.value.attachment));
};

/** Everybody who is asked about the endpoint knows the new host; then step 3, and the old host forgets. */
const leave = async (context: Context, wish: Wish, entry: Entry<Endpoint>, view: SubnetView): Promise<void> => {
  const { object, target, deadline_ms, timeout_ms } = wish;
  const { host, movedFrom } = entry.value;
  const { late } = await waitHosts(context, {
    hosts: hostsOf({ ...entry.value, movedFrom: '' }, view),
    // Who moves the endpoint on need not wait for a host that is gone.
    required: new Set(host === target ? [host] : []),
    revision: entry.revision,
    deadline_ms,
  });
  if (late.length > 0) throw lateError(object, late, timeout_ms, `is at host ${host}`);
  const revision = await write(context, finish(entry, view));
  if (revision === undefined) return;
  const old = await waitHosts(context, { hosts: [movedFrom], required: new Set(), revision, deadline_ms });
  if (old.late.length > 0) throw lateError(object, old.late, timeout_ms, `is at host ${host}`);
};

/** The endpoint is where it was to go, and the host has it. */
const settled = async (context: Context, wish: Wish, entry: Entry<Endpoint>): Promise<Endpoint> => {
  const { object, deadline_ms, timeout_ms } = wish;
  const { host } = entry.value;
  const { late } = await waitHosts(context, {
    hosts: [host],
    required: new Set(),
    revision: entry.revision,
    deadline_ms,
  });
  if (late.length > 0) throw lateError(object, late, timeout_ms, `is at host ${host}`);
  return shown(entry);
};

/** The step's revision; undefined when something it stands on has changed: look again. */
const write = async (context: Context, { compares, operations }: Step): Promise<number | undefined> => {
  const result = await context.store.txn(compares, operations);
  if (result.succeeded) return result.revision;
  context.metrics.retries.inc();
  return undefined;
};

const superseded = ({ object, target }: Wish, host: string): MegrezError =>
  new MegrezError({
    code: 'ABORTED',
    reason: 'MOVE_SUPERSEDED',
    object,
    message: `${object} does not move to host ${target}: somebody else wants it at host ${host}`,
  });
