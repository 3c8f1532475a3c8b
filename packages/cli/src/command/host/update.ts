import { type Command, Option } from 'commander';
import { count } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { hostView } from '../../views';

interface Flags {
  readonly weight?: number;
  readonly zone?: string;
  readonly eligible?: boolean;
  readonly ineligible?: boolean;
}

export const hostUpdate = (parent: Command, io: Io): void => {
  parent
    .command('update')
    .description('change what placement knows of a host; what is not named stays')
    .argument('<host>')
    .option('--weight <n>', 'capacity for slots; 100 is an ordinary host', count)
    .option('--zone <zone>', 'its failure zone')
    .addOption(new Option('--eligible', 'it may own slots').conflicts('ineligible'))
    .addOption(new Option('--ineligible', 'it may not own slots').conflicts('eligible'))
    .addHelpText('after', '\nExample:\n  megrez host update h1 --weight 200 --zone east-1')
    .action((name: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { response: now } = await client.provisioning.getHost({ name });
          await client.provisioning.updateHost({
            name,
            weight: flags.weight ?? now.weight,
            zone: flags.zone ?? now.zone,
            ineligible: flags.ineligible ?? (flags.eligible === true ? false : now.ineligible),
          });
          // The answer of the update says nothing of the agent.
          const { response } = await client.provisioning.getHost({ name });
          await printOne(io, format, model.Host, hostView, response);
        },
        patience.write_ms,
      ),
    );
};
