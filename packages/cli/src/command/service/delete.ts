import type { Command } from 'commander';
import type { Io } from '../../io';
import { printRemoved } from '../../output';
import { patience, withSession } from '../../session';

export const serviceDelete = (parent: Command, io: Io): void => {
  parent
    .command('delete')
    .description('delete a service; its backends stay')
    .argument('<vpc/subnet/name>')
    .addHelpText('after', '\nExample:\n  megrez service delete acme/web/shop')
    .action((path: string, _flags: unknown, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet, name } = model.parseServicePath(path);
          const { response } = await client.provisioning.deleteService({ vpc, subnet, name });
          await printRemoved(io, format, model.Service, model.objectName.service(vpc, subnet, name), response);
        },
        patience.write_ms,
      ),
    );
};
