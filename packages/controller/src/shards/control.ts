/** Pause, resume, cancel: changes of a job's state that the leader acts on. */
import {
  type CancelJobRequest,
  JobKind,
  JobState,
  type ListJobsRequest,
  type ListJobsResponse,
  MegrezError,
  type PauseJobRequest,
  type ResumeJobRequest,
  type ShardJob,
} from '@megrez/model';
import { type Compare, keys, type Operation, prefixes } from '@megrez/store';
import type { Context } from '../context';
import { catchUp } from '../provisioning/lookup';
import { contended } from '../provisioning/vpc';
import { findJob } from './create-job';
import { hasEnded, isActive, jobName } from './jobs';

const attempts = 20;

export const listJobs = async ({ store }: Context, { active }: ListJobsRequest): Promise<ListJobsResponse> => {
  const { entries } = await store.range(prefixes.jobs());
  const jobs = entries.map(({ value }) => value).toReversed();
  return { jobs: active ? jobs.filter((job) => !hasEnded(job)) : jobs };
};

export const pauseJob = (context: Context, { job }: PauseJobRequest): Promise<ShardJob> =>
  change(context, job, (value) => {
    if (value.state === JobState.PAUSED) return undefined;
    if (!isActive(value)) throw refuse(value, 'NOT_RUNNING', 'cannot be paused');
    return { fields: { state: JobState.PAUSED } };
  });

/** A job that was paused before it was planned begins at the beginning. */
export const resumeJob = (context: Context, { job }: ResumeJobRequest): Promise<ShardJob> =>
  change(context, job, (value) => {
    if (isActive(value)) return undefined;
    if (value.state !== JobState.PAUSED) throw refuse(value, 'NOT_PAUSED', 'cannot be resumed');
    return { fields: { state: value.tables === 0 ? JobState.PENDING : JobState.RUNNING } };
  });

export const cancelJob = (context: Context, { job }: CancelJobRequest): Promise<ShardJob> =>
  change(context, job, async (value) => {
    if (value.state === JobState.CANCELLING || value.state === JobState.CANCELLED) return undefined;
    if (hasEnded(value)) throw refuse(value, 'JOB_ENDED', 'cannot be cancelled');
    const fields = { state: JobState.CANCELLING };
    if (value.kind !== JobKind.DRAIN) return { fields };
    const key = keys.host(value.host);
    const host = await context.store.get(key);
    if (host === undefined) return { fields };
    return {
      fields,
      compares: [{ kind: 'revision', key, revision: host.revision }],
      operations: [{ kind: 'put', key, value: { ...host.value, ineligible: false } }],
    };
  });

interface Change {
  readonly fields: Partial<ShardJob>;
  readonly compares?: readonly Compare[];
  readonly operations?: readonly Operation[];
}

/** Undefined from `decide` leaves the job as it is. */
const change = async (
  context: Context,
  id: number,
  decide: (job: ShardJob) => Change | undefined | Promise<Change | undefined>,
): Promise<ShardJob> => {
  const key = keys.job(id);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { value, revision } = await findJob(context, id);
    const decision = await decide(value);
    if (decision === undefined) return value;
    const next = { ...value, ...decision.fields };
    const result = await context.store.txn(
      [{ kind: 'revision', key, revision }, ...(decision.compares ?? [])],
      [{ kind: 'put', key, value: next }, ...(decision.operations ?? [])],
    );
    if (result.succeeded) {
      await catchUp(context, result.revision);
      return next;
    }
  }
  throw contended(`job ${id}`);
};

const words: Record<JobState, string> = {
  [JobState.UNSPECIFIED]: 'unknown',
  [JobState.PENDING]: 'pending',
  [JobState.RUNNING]: 'running',
  [JobState.PAUSED]: 'paused',
  [JobState.CANCELLING]: 'being cancelled',
  [JobState.DONE]: 'done',
  [JobState.CANCELLED]: 'cancelled',
  [JobState.FAILED]: 'failed',
};

const refuse = (job: ShardJob, reason: string, what: string): MegrezError =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason,
    object: `job ${job.id}`,
    message: `${jobName(job)} is ${words[job.state]} and ${what}`,
  });
