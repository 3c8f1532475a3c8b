import { JobCounter, JobState, MegrezError, ShardJob } from '@megrez/model';
import { type Compare, keys, type Operation, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { catchUp } from '../provisioning/lookup';
import { contended } from '../provisioning/vpc';
import { hasEnded, jobName } from './jobs';

const attempts = 20;

export interface NewJob {
  readonly job: Pick<ShardJob, 'kind'> & Partial<ShardJob>;
  readonly compares?: readonly Compare[];
  readonly operations?: readonly Operation[];
}

/**
 * Stores a job, or joins one. `decide` looks at the jobs that have not ended, with a mirror that is not older; whoever
 * makes another job meanwhile makes it look again, so that what it rules out never is.
 */
export const createJob = async (
  context: Context,
  object: string,
  decide: (active: readonly ShardJob[]) => Promise<NewJob | ShardJob> | NewJob | ShardJob,
): Promise<ShardJob> => {
  const { store } = context;
  const counterKey = keys.jobCounter();
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const counter = await store.get(counterKey);
    const { entries, revision } = await store.range(prefixes.jobs());
    await catchUp(context, revision);
    const decision = await decide(entries.map(({ value }) => value).filter((job) => !hasEnded(job)));
    if ('id' in decision) return decision;
    const id = (counter?.value.id ?? 0) + 1;
    const job = ShardJob.create({ ...decision.job, id, state: JobState.PENDING, createdAtMs: Date.now() });
    const result = await store.txn(
      [
        counter === undefined
          ? { kind: 'absent', key: counterKey }
          : { kind: 'revision', key: counterKey, revision: counter.revision },
        ...(decision.compares ?? []),
      ],
      [
        { kind: 'put', key: counterKey, value: JobCounter.create({ id }) },
        { kind: 'put', key: keys.job(id), value: job },
        ...(decision.operations ?? []),
      ],
    );
    if (result.succeeded) {
      await catchUp(context, result.revision);
      return job;
    }
  }
  throw contended(object);
};

export const jobRunning = (object: string, job: ShardJob, what: string): MegrezError =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'JOB_RUNNING',
    object,
    message: `${jobName(job)} is under way: ${what}`,
  });

/** @throws MegrezError NOT_FOUND / JOB_NOT_FOUND */
export const findJob = async ({ store }: Context, id: number): Promise<Stored<ShardJob>> => {
  const job = await store.get(keys.job(id));
  if (job !== undefined) return job;
  throw new MegrezError({
    code: 'NOT_FOUND',
    reason: 'JOB_NOT_FOUND',
    object: `job ${id}`,
    message: `job ${id} does not exist; those that ended long ago are forgotten`,
  });
};
