import type { Command } from 'commander';
import type { Io } from '../../io';
import { printRemoved } from '../../output';
import { patience, withSession } from '../../session';

interface Flags {
  readonly cascade?: boolean;
}

export const vpcDelete = (parent: Command, io: Io): void => {
  parent
    .command('delete')
    .description('delete a VPC')
    .argument('<vpc>')
    .option('--cascade', 'delete its subnets and endpoints too')
    .addHelpText('after', '\nExample:\n  megrez vpc delete acme --cascade')
    .action((vpc: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc: name } = model.parseVpcPath(vpc);
          const { response } = await client.provisioning.deleteVpc({ name, cascade: flags.cascade ?? false });
          await printRemoved(io, format, model.Vpc, model.objectName.vpc(name), response);
        },
        flags.cascade === true ? patience.cascade_ms : patience.write_ms,
      ),
    );
};
