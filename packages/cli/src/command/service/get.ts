import type { Command } from 'commander';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { withSession } from '../../session';
import { serviceView } from '../../views';

export const serviceGet = (parent: Command, io: Io): void => {
  parent
    .command('get')
    .description('show one service')
    .argument('<vpc/subnet/name>')
    .addHelpText('after', '\nExample:\n  megrez service get acme/web/shop -o yaml')
    .action((path: string, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { response } = await client.provisioning.getService(model.parseServicePath(path));
        await printOne(io, format, model.Service, serviceView, response);
      }),
    );
};
