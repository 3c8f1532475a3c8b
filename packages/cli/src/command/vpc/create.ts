import type { Command } from 'commander';
import { count, several } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { vpcView } from '../../views';

interface Flags {
  readonly cidr: readonly string[];
  readonly dividers?: number;
  readonly requestId?: string;
}

export const vpcCreate = (parent: Command, io: Io): void => {
  parent
    .command('create')
    .description("create a tenant's private address space")
    .argument('<vpc>')
    .addOption(several('--cidr <cidr>', 'IPv4 or IPv6 prefix, one of each at most').makeOptionMandatory())
    .option('--dividers <n>', 'hosts among which the routing is sharded (default: 2, or 1 with a single host)', count)
    .option('--request-id <id>', 'makes a retry return the first result')
    .addHelpText('after', '\nExample:\n  megrez vpc create acme --cidr 10.0.0.0/16 --dividers 2')
    .action((vpc: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc: name } = model.parseVpcPath(vpc);
          const { response } = await client.provisioning.createVpc({
            name,
            cidrs: [...flags.cidr],
            dividers: flags.dividers ?? 0,
            requestId: flags.requestId ?? '',
          });
          await printOne(io, format, model.Vpc, vpcView, response);
        },
        patience.write_ms,
      ),
    );
};
