import type { Command } from 'commander';
import type { Io } from '../../io';

interface Flags {
  readonly dir?: string;
}

export const devDown = (parent: Command, io: Io): void => {
  parent
    .command('down')
    .description('end the cluster and remove everything it made')
    .option('--dir <directory>', 'where it is kept')
    .addHelpText('after', '\nExample:\n  sudo megrez dev down')
    .action(async ({ dir }: Flags) => {
      const dev = await import('@megrez/dev');
      const result = await dev.devDown({ dir });
      io.stdout(`down: ${result.ended} processes ended, ${result.dir} removed\n`);
    });
};
