import type { Command } from 'commander';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { withSession } from '../../session';
import { vpcView } from '../../views';

export const vpcGet = (parent: Command, io: Io): void => {
  parent
    .command('get')
    .description('show one VPC')
    .argument('<vpc>')
    .addHelpText('after', '\nExample:\n  megrez vpc get acme -o yaml')
    .action((vpc: string, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { vpc: name } = model.parseVpcPath(vpc);
        const { response } = await client.provisioning.getVpc({ name });
        await printOne(io, format, model.Vpc, vpcView, response);
      }),
    );
};
