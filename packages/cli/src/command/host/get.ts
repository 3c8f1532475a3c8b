import type { Command } from 'commander';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { withSession } from '../../session';
import { hostView } from '../../views';

export const hostGet = (parent: Command, io: Io): void => {
  parent
    .command('get')
    .description('show one host')
    .argument('<host>')
    .addHelpText('after', '\nExample:\n  megrez host get h1 -o wide')
    .action((name: string, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { response } = await client.provisioning.getHost({ name });
        await printOne(io, format, model.Host, hostView, response);
      }),
    );
};
