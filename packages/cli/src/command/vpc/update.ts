import type { Command } from 'commander';
import { count } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { vpcView } from '../../views';

interface Flags {
  readonly dividers: number;
}

export const vpcUpdate = (parent: Command, io: Io): void => {
  parent
    .command('update')
    .description('change how many dividers a VPC has; megrez shard watch shows its slots move')
    .argument('<vpc>')
    .requiredOption('--dividers <n>', 'hosts among which the routing is sharded', count)
    .addHelpText('after', '\nExample:\n  megrez vpc update acme --dividers 3')
    .action((vpc: string, { dividers }: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc: name } = model.parseVpcPath(vpc);
          const { response } = await client.provisioning.updateVpc({ name, dividers });
          await printOne(io, format, model.Vpc, vpcView, response);
        },
        patience.write_ms,
      ),
    );
};
