import type { ShardJob } from '@megrez/model';
import type { Command } from 'commander';
import { whole } from '../../arguments';
import type { Io } from '../../io';
import { printList, printOne } from '../../output';
import { jobKind, jobSubject } from '../../progress';
import { patience, type Session, withSession } from '../../session';
import { jobView } from '../../views';

interface Flags {
  readonly active?: boolean;
}

export const jobId = whole(1, Number.MAX_SAFE_INTEGER);

export const shardJobs = (parent: Command, io: Io): void => {
  parent
    .command('jobs')
    .description('rebalances, drains and moves, the newest first')
    .option('--active', 'only those that have not ended')
    .addHelpText('after', '\nExample:\n  megrez shard jobs --active')
    .action(({ active = false }: Flags, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { response } = await client.shard.listJobs({ active });
        await printList(io, format, model.ShardJob, jobView, response.jobs);
      }),
    );
};

const controls = {
  pause: {
    what: 'let no more slots of a job set out; those on their way arrive',
    call: async ({ client }: Session, job: number) => (await client.shard.pauseJob({ job })).response,
  },
  resume: {
    what: 'go on with a paused job',
    call: async ({ client }: Session, job: number) => (await client.shard.resumeJob({ job })).response,
  },
  cancel: {
    what: 'end a job: slots stay where they serve; the host of a cancelled drain may own slots again',
    call: async ({ client }: Session, job: number) => (await client.shard.cancelJob({ job })).response,
  },
} as const;

export const shardControls = (parent: Command, io: Io): void => {
  for (const verb of ['pause', 'resume', 'cancel'] as const) {
    parent
      .command(verb)
      .description(controls[verb].what)
      .argument('[job]', 'its number (default: the only one that has not ended)', jobId)
      .addHelpText('after', `\nExample:\n  megrez shard ${verb} 7`)
      .action((given: number | undefined, _flags: unknown, command: Command) =>
        withSession(
          command,
          io,
          async (session) => {
            const job = await controls[verb].call(session, given ?? (await onlyJob(session)));
            await printOne(io, session.format, session.model.ShardJob, jobView, job);
          },
          patience.write_ms,
        ),
      );
  }
};

const describe = (job: ShardJob): string => `${job.id} (${jobKind(job)} of ${jobSubject(job)})`;

/** @throws MegrezError FAILED_PRECONDITION / NO_JOB, or SEVERAL_JOBS with what there is to choose from */
const onlyJob = async ({ client, model }: Session): Promise<number> => {
  const { jobs } = (await client.shard.listJobs({ active: true })).response;
  const [job, ...others] = jobs;
  if (job !== undefined && others.length === 0) return job.id;
  const several = job !== undefined;
  throw new model.MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: several ? 'SEVERAL_JOBS' : 'NO_JOB',
    object: 'shard jobs',
    message: several ? `name one of the jobs: ${jobs.map(describe).join(', ')}` : 'no job moves slots now',
  });
};
