import type { Command } from 'commander';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { withSession } from '../../session';
import { subnetView } from '../../views';

export const subnetGet = (parent: Command, io: Io): void => {
  parent
    .command('get')
    .description('show one subnet')
    .argument('<vpc/subnet>')
    .addHelpText('after', '\nExample:\n  megrez subnet get acme/web -o yaml')
    .action((path: string, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { vpc, subnet } = model.parseSubnetPath(path);
        const { response } = await client.provisioning.getSubnet({ vpc, name: subnet });
        await printOne(io, format, model.Subnet, subnetView, response);
      }),
    );
};
