import type { Command } from 'commander';
import type { Io } from '../../io';
import { printRemoved } from '../../output';
import { patience, withSession } from '../../session';

interface Flags {
  readonly cascade?: boolean;
}

export const subnetDelete = (parent: Command, io: Io): void => {
  parent
    .command('delete')
    .description('delete a subnet')
    .argument('<vpc/subnet>')
    .option('--cascade', 'delete its endpoints too')
    .addHelpText('after', '\nExample:\n  megrez subnet delete acme/web --cascade')
    .action((path: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet } = model.parseSubnetPath(path);
          const request = { vpc, name: subnet, cascade: flags.cascade ?? false };
          const { response } = await client.provisioning.deleteSubnet(request);
          await printRemoved(io, format, model.Subnet, model.objectName.subnet(vpc, subnet), response);
        },
        flags.cascade === true ? patience.cascade_ms : patience.write_ms,
      ),
    );
};
