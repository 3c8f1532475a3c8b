/** Carries jobs from what was asked for to their end; the slots themselves are moved by plans. */
import { JobKind, JobState, MegrezError, type ShardJob } from '@megrez/model';
import { type Compare, keys, type Operation } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { fleetOf, namedTable, tablesIn } from '../shards/fleet';
import { hasEnded } from '../shards/jobs';
import { planHandMove } from '../shards/move-slots';
import { leavingHosts, loadingHosts, movesOf } from '../shards/moves';
import { targetOf } from '../shards/plan';
import { planRebalance } from '../shards/rebalance';
import type { Term } from './election';
import type { Health } from './health';
import { planCompares } from './planner';

/** Ended jobs that are remembered. */
const kept = 100;
/** Plans per transaction: each takes a write and two comparisons. */
const chunk = 50;

type Fields = Partial<ShardJob>;

export const runJobs = async (context: Context, term: Term, health: Health): Promise<void> => {
  const { shards } = context;
  const jobs = [...shards.jobs.values()].sort((a, b) => a.value.id - b.value.id);
  for (const job of jobs) {
    if (term.over.aborted) return;
    const { state } = job.value;
    if (state === JobState.PENDING) await begin(context, term, health, job);
    else if (state === JobState.RUNNING && isComplete(context, job.value))
      await end(term, job, { state: JobState.DONE });
    else if (state === JobState.CANCELLING) await cancel(context, term, job);
  }
  const ended = jobs.filter(({ value }) => hasEnded(value));
  for (const { value, revision } of ended.slice(0, Math.max(0, ended.length - kept))) {
    const key = keys.job(value.id);
    await term.write([{ kind: 'revision', key, revision }], [{ kind: 'remove', key }]);
  }
};

const change = ({ value, revision }: Stored<ShardJob>, fields: Fields): [Compare, Operation] => {
  const key = keys.job(value.id);
  return [
    { kind: 'revision', key, revision },
    { kind: 'put', key, value: { ...value, ...fields } },
  ];
};

const update = async (term: Term, job: Stored<ShardJob>, fields: Fields): Promise<void> => {
  const [compare, operation] = change(job, fields);
  await term.write([compare], [operation]);
};

const end = (term: Term, job: Stored<ShardJob>, fields: Fields): Promise<void> =>
  update(term, job, { ...fields, finishedAtMs: Date.now() });

const begin = async (context: Context, term: Term, health: Health, job: Stored<ShardJob>): Promise<void> => {
  const { value } = job;
  try {
    if (value.kind === JobKind.DRAIN) await beginDrain(context, term, job);
    else if (value.kind === JobKind.MOVE) await beginMove(context, term, health, job);
    else await beginRebalance(context, term, health, job);
  } catch (error) {
    if (!(error instanceof MegrezError)) throw error;
    await end(term, job, { state: JobState.FAILED, message: error.message });
  }
};

/** The host is ineligible since the job was stored: the planner does the rest. */
const beginDrain = async ({ mirror }: Context, term: Term, job: Stored<ShardJob>): Promise<void> => {
  const held = [...mirror.tables.values()].flatMap(({ slotsOf }) => slotsOf.get(job.value.host)?.size ?? []);
  await update(term, job, {
    state: JobState.RUNNING,
    total: held.reduce((sum, slots) => sum + slots, 0),
    tables: held.length,
  });
};

const beginMove = async (context: Context, term: Term, health: Health, job: Stored<ShardJob>): Promise<void> => {
  const { vpc, subnet } = job.value;
  const named = tablesIn(context, { vpc, subnet }).find((table) => table.subnet === subnet);
  if (named === undefined) {
    await end(term, job, { state: JobState.FAILED, message: 'its table does not exist any more' });
    return;
  }
  const present = context.shards.plans.get(named.key);
  const plan = planHandMove(job.value, named, present?.value, fleetOf(context, health.dead));
  const [compare, operation] = change(job, { state: JobState.RUNNING, total: plan.total, tables: 1 });
  const key = keys.slotPlan(plan.vni, plan.subnet);
  await term.write([compare, ...planCompares(named.view, present)], [operation, { kind: 'put', key, value: plan }]);
};

/** In chunks, the job itself last: who takes over after half of them plans the rest, and finds the others planned. */
const beginRebalance = async (context: Context, term: Term, health: Health, job: Stored<ShardJob>): Promise<void> => {
  const { value } = job;
  const { plans, problems } = planRebalance(context, value, fleetOf(context, health.dead), value.id);
  const planned = new Set(plans.map(({ named }) => named.key));
  const before = [...context.shards.plans].filter(([key, plan]) => plan.value.job === value.id && !planned.has(key));
  const total = [...plans.map(({ plan }) => plan), ...before.map(([, plan]) => plan.value)];
  for (let start = 0; start < plans.length; start += chunk) {
    const part = plans.slice(start, start + chunk);
    const result = await term.write(
      part.flatMap(({ named }) => planCompares(named.view, context.shards.plans.get(named.key))),
      part.map(({ plan }) => ({ kind: 'put', key: keys.slotPlan(plan.vni, plan.subnet), value: plan })),
    );
    // Something has changed meanwhile; the next look plans by it.
    if (!result.succeeded) return;
  }
  await update(term, job, {
    state: JobState.RUNNING,
    total: total.reduce((sum, plan) => sum + plan.total, 0),
    tables: total.length,
    message: problems.join(' '),
  });
};

const isComplete = ({ mirror, shards }: Context, job: ShardJob): boolean => {
  if ([...shards.plans.values()].some(({ value }) => value.job === job.id && !value.settled)) return false;
  if (job.kind !== JobKind.DRAIN) return true;
  return ![...mirror.tables.values()].some(({ slotsOf }) => slotsOf.has(job.host));
};

/** Plans that have not begun are dropped; the others stay as a sign that their tables are as somebody wanted them. */
const cancel = async (context: Context, term: Term, job: Stored<ShardJob>): Promise<void> => {
  const { mirror, shards } = context;
  let moving = false;
  for (const [name, plan] of shards.plans) {
    if (plan.value.job !== job.value.id) continue;
    const view = namedTable(mirror, name)?.view;
    if (view === undefined) continue;
    const inMotion = loadingHosts(view.value).length + leavingHosts(view.value).length > 0;
    if (plan.value.settled) {
      moving ||= inMotion;
      continue;
    }
    moving = true;
    const begun = inMotion || movesOf(view.value, targetOf(plan.value)).length < plan.value.total;
    const key = keys.slotPlan(plan.value.vni, plan.value.subnet);
    const operation: Operation = begun
      ? { kind: 'put', key, value: { ...plan.value, settled: true } }
      : { kind: 'remove', key };
    await term.write(planCompares(view, plan), [operation]);
  }
  if (!moving) await end(term, job, { state: JobState.CANCELLED });
};
