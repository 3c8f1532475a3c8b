import type { GetStatusResponse, ShardJob } from '@megrez/model';
import type { Command } from 'commander';
import { Exit, type Io } from '../io';
import { isData, printData } from '../output';
import { progressLine } from '../progress';
import { type Session, withSession } from '../session';
import { formatTable } from '../table';
import { controllerView, hostView, jobView } from '../views';

export const status = (program: Command, io: Io): void => {
  program
    .command('status')
    .description('one screen: is all well, and if not, what to do; exit code 1 when not')
    .addHelpText('after', '\nExample:\n  megrez status -o wide')
    .action((_flags: unknown, command: Command) =>
      withSession(command, io, async (session) => {
        const { client, model, format } = session;
        const [{ response }, motion] = await Promise.all([client.provisioning.getStatus({}), motionOf(session)]);
        const complete = { ...response, problems: allProblems(response) };
        if (isData(format)) {
          const defaults = { emitDefaultValues: true };
          await printData(io, format, {
            ...(model.GetStatusResponse.toJson(complete, defaults) as object),
            jobs: motion.jobs.map((job) => model.ShardJob.toJson(job, defaults)),
            moving: motion.moving,
          });
        } else io.stdout(formatStatus(client.server, complete, motion, format === 'wide'));
        if (complete.problems.length > 0) throw new Exit(1);
      }),
    );
};

/** What moves slots now. */
export interface Motion {
  readonly jobs: readonly ShardJob[];
  /** How far all of it is, the moves that no job asked for included; empty when nothing moves. */
  readonly moving: string;
}

const still: Motion = { jobs: [], moving: '' };

/** How long to wait for the first report of what moves. */
const report_ms = 2_000;

const motionOf = async ({ client, model }: Session): Promise<Motion> => {
  const hangUp = new AbortController();
  const first = async (): Promise<string> => {
    const request = { vpc: '', subnet: '', job: 0 };
    const options = { abort: hangUp.signal, timeout: report_ms };
    for await (const progress of client.shard.watchProgress(request, options).responses) {
      return progress.moving.length === 0 && progress.done === progress.total ? '' : progressLine(progress);
    }
    return '';
  };
  try {
    const [{ response }, moving] = await Promise.all([client.shard.listJobs({ active: true }), first()]);
    return { jobs: response.jobs, moving };
  } catch (error) {
    // A controller that has nothing to say of shards has said all else.
    if (error instanceof model.MegrezError && ['UNIMPLEMENTED', 'DEADLINE_EXCEEDED'].includes(error.code)) return still;
    throw error;
  } finally {
    hangUp.abort();
  }
};

/** The controller's problems, then those that only a host's own report names. */
const allProblems = ({ problems, hosts }: GetStatusResponse): string[] => {
  const reported = hosts.flatMap((host) =>
    (host.status?.report?.problems ?? [])
      .filter((problem) => !problems.some((known) => known.includes(problem)))
      .map((problem) => `host ${host.name}: ${problem}`),
  );
  return [...problems, ...reported];
};

export const formatStatus = (
  server: string,
  response: GetStatusResponse,
  { jobs, moving }: Motion = still,
  wide = false,
): string => {
  const { problems, controllers, hosts, vpcs, subnets, endpoints, revision } = response;
  const verdict = problems.length === 0 ? 'all is well' : amount(problems.length, 'problem');
  const ineligible = hosts.filter((host) => host.ineligible).map(({ name }) => name);
  return [
    `megrez at ${server}: ${verdict}\n`,
    problems.map((problem) => `  - ${problem}\n`).join(''),
    `\n${formatTable(controllerView.columns, controllers, wide)}`,
    hosts.length === 0 ? `\n${hostView.none}\n` : `\n${formatTable(hostView.columns, hosts, wide)}`,
    ineligible.length === 0 ? '' : `\nnot eligible for slots, drained or by choice: ${ineligible.join(', ')}\n`,
    jobs.length === 0 ? '' : `\n${formatTable(jobView.columns, jobs, wide)}`,
    moving === '' ? '' : `\n${moving}\n`,
    `\n${amount(hosts.length, 'host')}, ${amount(vpcs, 'vpc')}, ${amount(subnets, 'subnet')}, `,
    `${amount(endpoints, 'endpoint')}; revision ${revision}\n`,
  ].join('');
};

const amount = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
