import type { Command } from 'commander';
import { count, several } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { subnetView } from '../../views';

interface Flags {
  readonly cidr: readonly string[];
  readonly bouncers?: number;
  readonly bouncerHost?: readonly string[];
  readonly requestId?: string;
}

export const subnetCreate = (parent: Command, io: Io): void => {
  parent
    .command('create')
    .description('create a subnet of a VPC')
    .argument('<vpc/subnet>')
    .addOption(several('--cidr <cidr>', "prefix inside the VPC's, one of each family at most").makeOptionMandatory())
    .option('--bouncers <n>', "hosts that share the subnet's map (default: 2, or 1 with a single host)", count)
    .addOption(several('--bouncer-host <host>', 'host that must be a bouncer'))
    .option('--request-id <id>', 'makes a retry return the first result')
    .addHelpText(
      'after',
      '\nExample:\n  megrez subnet create acme/web --cidr 10.0.1.0/24 --bouncers 1 --bouncer-host h3',
    )
    .action((path: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet } = model.parseSubnetPath(path);
          const { response } = await client.provisioning.createSubnet({
            vpc,
            name: subnet,
            cidrs: [...flags.cidr],
            bouncers: flags.bouncers ?? 0,
            bouncerHosts: [...(flags.bouncerHost ?? [])],
            requestId: flags.requestId ?? '',
          });
          await printOne(io, format, model.Subnet, subnetView, response);
        },
        patience.write_ms,
      ),
    );
};
