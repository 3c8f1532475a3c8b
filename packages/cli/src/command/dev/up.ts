import type { Underlay } from '@megrez/dev';
import { type Command, Option } from 'commander';
import { whole } from '../../arguments';
import type { Io } from '../../io';
import { isData, printData } from '../../output';
import { globalFlags } from '../../session';

interface Flags {
  readonly hosts: number;
  readonly controllers: number;
  readonly dir?: string;
  readonly underlay?: Underlay;
  readonly underlayMtu?: number;
  readonly softLeaseMs?: number;
  readonly hardLeaseMs?: number;
  readonly checkMs?: number;
  readonly nicHook?: string;
}

/** As @megrez/dev has them, which is loaded only when it is needed. */
const underlayKinds: readonly Underlay[] = ['bridge', 'routed', 'direct'];

const milliseconds = whole(1, 86_400_000);

export const devUp = (parent: Command, io: Io): void => {
  parent
    .command('up')
    .description('start a whole cluster on this machine: etcd, controllers, hosts')
    .option('--hosts <n>', 'how many hosts', whole(1, 1_000), 3)
    .option('--controllers <n>', 'how many controllers', whole(1, 9), 1)
    .option('--dir <directory>', 'where all of it is kept (default: MEGREZ_DEV_DIR, else /run/megrez/dev)')
    .addOption(
      new Option('--underlay <kind>', 'between the hosts: a bridge, a router, or a switch that costs next to nothing')
        .choices(underlayKinds)
        .default('bridge'),
    )
    .option('--underlay-mtu <bytes>', 'MTU between the hosts (default: 1500)', whole(1_280, 65_535))
    .option('--soft-lease-ms <ms>', 'given to the controllers', milliseconds)
    .option('--hard-lease-ms <ms>', 'given to the controllers', milliseconds)
    .option('--check-ms <ms>', 'given to the controllers', milliseconds)
    .option('--nic-hook <hook>', 'given to the agents')
    .addHelpText(
      'after',
      '\nExamples:\n  sudo megrez dev up --hosts 3\n  sudo megrez dev up --underlay routed --dir /tmp/routed',
    )
    .action(async (flags: Flags, command: Command) => {
      const { output } = globalFlags(command);
      const dev = await import('@megrez/dev');
      const cluster = await dev.devUp({
        hosts: flags.hosts,
        controllers: flags.controllers,
        dir: flags.dir,
        underlay: flags.underlay,
        underlay_mtu: flags.underlayMtu,
        controllerArguments: [
          ...given('--soft-lease-ms', flags.softLeaseMs),
          ...given('--hard-lease-ms', flags.hardLeaseMs),
          ...given('--check-ms', flags.checkMs),
        ],
        agentArguments: given('--nic-hook', flags.nicHook),
        onProgress: (line) => io.stderr(`${line}\n`),
      });
      if (isData(output)) await printData(io, output, cluster);
      else {
        const names = cluster.hosts.map((host) => host.name).join(', ');
        const flag = flags.dir === undefined ? '' : ` --server ${cluster.server}`;
        io.stdout(`up: ${names}; the controller is at ${cluster.server}\nnext: megrez${flag} status\n`);
      }
    });
};

const given = (flag: string, value: number | string | undefined): readonly string[] =>
  value === undefined ? [] : [flag, `${value}`];
