import type { Command } from 'commander';
import { Exit } from '../../io';

interface Flags {
  readonly dir?: string;
}

/** Runs a command where an endpoint is; its exit code becomes ours. */
export const devExec = (parent: Command): void => {
  parent
    .command('exec')
    .description("run a command in an endpoint's network namespace")
    .argument('<vpc/subnet/endpoint>')
    .argument('<command...>', 'after --')
    .option('--dir <directory>', 'where the cluster is kept')
    .addHelpText('after', '\nExample:\n  sudo megrez dev exec acme/web/a -- ping -c 3 10.0.1.8')
    .action(async (endpoint: string, command: readonly string[], { dir }: Flags) => {
      const dev = await import('@megrez/dev');
      throw new Exit(await dev.devExec(endpoint, command, { dir }));
    });
};

/** Runs a command on a host; its exit code becomes ours. */
export const devHost = (parent: Command): void => {
  parent
    .command('host')
    .description("run a command in a host's namespaces")
    .argument('<host>')
    .argument('<command...>', 'after --')
    .option('--dir <directory>', 'where the cluster is kept')
    .addHelpText('after', '\nExample:\n  sudo megrez dev host h1 -- ip -s link')
    .action(async (host: string, command: readonly string[], { dir }: Flags) => {
      const dev = await import('@megrez/dev');
      throw new Exit(await dev.devHost(host, command, { dir }));
    });
};
