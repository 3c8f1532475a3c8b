import type { GetStatusResponse } from '@megrez/model';
import type { Command } from 'commander';
import { Exit, type Io } from '../io';
import { isData, printData } from '../output';
import { withSession } from '../session';
import { formatTable } from '../table';
import { controllerView, hostView } from '../views';

export const status = (program: Command, io: Io): void => {
  program
    .command('status')
    .description('one screen: is all well, and if not, what to do; exit code 1 when not')
    .addHelpText('after', '\nExample:\n  megrez status -o wide')
    .action((_flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { response } = await client.provisioning.getStatus({});
        const complete = { ...response, problems: allProblems(response) };
        if (isData(format)) {
          await printData(io, format, model.GetStatusResponse.toJson(complete, { emitDefaultValues: true }));
        } else io.stdout(formatStatus(client.server, complete, format === 'wide'));
        if (complete.problems.length > 0) throw new Exit(1);
      }),
    );
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

export const formatStatus = (server: string, response: GetStatusResponse, wide = false): string => {
  const { problems, controllers, hosts, vpcs, subnets, endpoints, revision } = response;
  const verdict = problems.length === 0 ? 'all is well' : amount(problems.length, 'problem');
  return [
    `megrez at ${server}: ${verdict}\n`,
    problems.map((problem) => `  - ${problem}\n`).join(''),
    `\n${formatTable(controllerView.columns, controllers, wide)}`,
    hosts.length === 0 ? `\n${hostView.none}\n` : `\n${formatTable(hostView.columns, hosts, wide)}`,
    `\n${amount(hosts.length, 'host')}, ${amount(vpcs, 'vpc')}, ${amount(subnets, 'subnet')}, `,
    `${amount(endpoints, 'endpoint')}; revision ${revision}\n`,
  ].join('');
};

const amount = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
