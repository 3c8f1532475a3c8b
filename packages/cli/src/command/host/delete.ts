import type { Command } from 'commander';
import type { Io } from '../../io';
import { printRemoved } from '../../output';
import { patience, withSession } from '../../session';

export const hostDelete = (parent: Command, io: Io): void => {
  parent
    .command('delete')
    .description('forget a host that is detached and has no endpoints')
    .argument('<host>')
    .addHelpText('after', '\nExample:\n  megrez host delete h4')
    .action((name: string, _flags: unknown, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { response } = await client.provisioning.deleteHost({ name });
          await printRemoved(io, format, model.Host, model.objectName.host(name), response);
        },
        patience.write_ms,
      ),
    );
};
