/** The methods that begin a job: everything that can be refused is refused before anything is stored. */
import {
  type DrainRequest,
  JobKind,
  MegrezError,
  type MoveSlotsRequest,
  objectName,
  type RebalanceRequest,
  type ShardJob,
  type UndrainRequest,
  validateHostName,
} from '@megrez/model';
import { keys } from '@megrez/store';
import type { Context } from '../context';
import { findHost } from '../provisioning/lookup';
import { createJob, jobRunning, type NewJob } from './create-job';
import { checkScope, fleetOf, tableName, tablesIn } from './fleet';
import { isRebalance } from './jobs';
import { planHandMove } from './move-slots';
import { planRebalance } from './rebalance';

export const startRebalance = async (context: Context, scope: RebalanceRequest): Promise<ShardJob> => {
  await checkScope(context, scope);
  return createJob(context, 'shards', (active) => {
    refuseSecond(active);
    // Only for what it throws: the leader plans when it gets to it.
    planRebalance(context, scope, fleetOf(context), 0);
    return { job: { kind: JobKind.REBALANCE, vpc: scope.vpc, subnet: scope.subnet } };
  });
};

const refuseSecond = (active: readonly ShardJob[]): void => {
  const other = active.find(isRebalance);
  if (other !== undefined) throw jobRunning('shards', other, 'watch it, or cancel it first');
};

export const startDrain = async (context: Context, { host: name }: DrainRequest): Promise<ShardJob> => {
  validateHostName({ name });
  const object = objectName.host(name);
  return createJob(context, object, async (active): Promise<NewJob | ShardJob> => {
    const joined = active.find((job) => job.kind === JobKind.DRAIN && job.host === name);
    if (joined !== undefined) return joined;
    const undrain = active.find((job) => job.kind === JobKind.UNDRAIN && job.host === name);
    if (undrain !== undefined) throw jobRunning(object, undrain, 'cancel it first');
    const { value, revision } = await findHost(context, name, true);
    refusePinned(context, name);
    const others = [...fleetOf(context).values()].filter(
      (host) => host.name !== name && host.eligible && host.attached,
    );
    if (others.length === 0) {
      throw new MegrezError({
        code: 'FAILED_PRECONDITION',
        reason: 'LAST_ELIGIBLE_HOST',
        object,
        message: `no other host could own the slots of ${name}: start an agent elsewhere, or undrain another host`,
      });
    }
    const key = keys.host(name);
    return {
      job: { kind: JobKind.DRAIN, host: name },
      compares: [{ kind: 'revision', key, revision }],
      operations: [{ kind: 'put', key, value: { ...value, ineligible: true } }],
    };
  });
};

const refusePinned = ({ mirror }: Context, host: string): void => {
  const pinned = [...mirror.subnets.values()].filter(({ value }) => value.bouncerHosts.includes(host));
  if (pinned.length === 0) return;
  const names = pinned.map(({ value }) => `${value.vpc}/${value.name}`).sort();
  const shown = names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
  throw new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'HOST_PINNED',
    object: objectName.host(host),
    message: `${host} is pinned as a bouncer of ${shown}: give them other bouncer hosts first (megrez subnet update)`,
  });
};

export const startUndrain = async (context: Context, { host: name }: UndrainRequest): Promise<ShardJob> => {
  validateHostName({ name });
  const object = objectName.host(name);
  return createJob(context, object, async (active): Promise<NewJob | ShardJob> => {
    const joined = active.find((job) => job.kind === JobKind.UNDRAIN && job.host === name);
    if (joined !== undefined) return joined;
    const drain = active.find((job) => job.kind === JobKind.DRAIN && job.host === name);
    if (drain !== undefined) throw jobRunning(object, drain, 'cancel it, which makes the host eligible again');
    const { value, revision } = await findHost(context, name, true);
    if (!value.ineligible) {
      throw new MegrezError({
        code: 'FAILED_PRECONDITION',
        reason: 'NOT_DRAINED',
        object,
        message: `${name} may own slots already; megrez shard rebalance gives it its share`,
      });
    }
    refuseSecond(active);
    const key = keys.host(name);
    return {
      job: { kind: JobKind.UNDRAIN, host: name },
      compares: [{ kind: 'revision', key, revision }],
      operations: [{ kind: 'put', key, value: { ...value, ineligible: false } }],
    };
  });
};

export const startMove = async (context: Context, request: MoveSlotsRequest): Promise<ShardJob> => {
  const { vpc, subnet, from, to } = request;
  if (vpc === '') {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'NAME_MISSING',
      object: 'shards',
      message: 'slots of which vpc, or subnet?',
    });
  }
  await checkScope(context, { vpc, subnet });
  const slots = [...new Set(request.slots)].sort((a, b) => a - b);
  return createJob(context, 'shards', (active): NewJob => {
    const named = tablesIn(context, { vpc, subnet }).find((table) => table.subnet === subnet);
    if (named === undefined) {
      throw new MegrezError({
        code: 'FAILED_PRECONDITION',
        reason: 'BEING_DELETED',
        object: subnet === '' ? objectName.vpc(vpc) : objectName.subnet(vpc, subnet),
        message: 'it is being deleted: its slots stay where they are',
      });
    }
    const plan = context.shards.plans.get(named.key)?.value;
    const other = active.find(
      (job) => job.id === plan?.job || (job.kind === JobKind.MOVE && job.vpc === vpc && job.subnet === subnet),
    );
    if (other !== undefined) throw jobRunning(tableName(named), other, 'wait for it, or cancel it first');
    if (plan?.settled === false) {
      throw new MegrezError({
        code: 'FAILED_PRECONDITION',
        reason: 'TABLE_MOVES',
        object: tableName(named),
        message: `slots of ${tableName(named)} are on their way (${plan.why}): wait for them`,
      });
    }
    planHandMove({ id: 0, slots, from, host: to }, named, plan, fleetOf(context));
    return { job: { kind: JobKind.MOVE, vpc, subnet, host: to, slots, from } };
  });
};
