import { type Command, Option } from 'commander';
import { count, several } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { subnetView } from '../../views';

interface Flags {
  readonly bouncers?: number;
  readonly bouncerHost?: readonly string[];
  readonly unpin?: boolean;
}

export const subnetUpdate = (parent: Command, io: Io): void => {
  parent
    .command('update')
    .description('change how many bouncers a subnet has, or which; megrez shard watch shows its slots move')
    .argument('<vpc/subnet>')
    .option('--bouncers <n>', "hosts that share the subnet's map", count)
    .addOption(several('--bouncer-host <host>', 'host that must be a bouncer; replaces those named before'))
    .addOption(new Option('--unpin', 'leave the choice of hosts to placement').conflicts('bouncerHost'))
    .addHelpText(
      'after',
      '\nExamples:\n  megrez subnet update acme/web --bouncers 3' +
        '\n  megrez subnet update acme/web --bouncer-host h2 --bouncer-host h3',
    )
    .action((path: string, flags: Flags, command: Command) => {
      const { bouncers, bouncerHost, unpin = false } = flags;
      if (bouncers === undefined && bouncerHost === undefined && !unpin) {
        command.error("error: nothing to change: give '--bouncers', '--bouncer-host' or '--unpin'");
      }
      return withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet: name } = model.parseSubnetPath(path);
          const { response: now } = await client.provisioning.getSubnet({ vpc, name });
          const { response } = await client.provisioning.updateSubnet({
            vpc,
            name,
            // Hosts that are named alone are all the bouncers there are.
            bouncers: bouncers ?? bouncerHost?.length ?? now.bouncers,
            bouncerHosts: unpin ? [] : [...(bouncerHost ?? now.bouncerHosts)],
          });
          await printOne(io, format, model.Subnet, subnetView, response);
        },
        patience.write_ms,
      );
    });
};
