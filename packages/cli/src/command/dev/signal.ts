import type { Command } from 'commander';
import type { Io } from '../../io';

interface Flags {
  readonly dir?: string;
}

const actions = {
  kill: { what: 'end a process of the cluster by SIGKILL', done: 'killed' },
  stop: { what: 'stop a process of the cluster by SIGSTOP', done: 'stopped' },
  restart: { what: 'start a process of the cluster again', done: 'restarted' },
} as const;

export const devSignals = (parent: Command, io: Io): void => {
  for (const action of ['kill', 'stop', 'restart'] as const) {
    parent
      .command(action)
      .description(`${actions[action].what}: a host's agent, controller-1 ..., or etcd`)
      .argument('<host|controller-N|etcd>')
      .option('--dir <directory>', 'where the cluster is kept')
      .addHelpText('after', `\nExample:\n  sudo megrez dev ${action} h1`)
      .action(async (name: string, { dir }: Flags) => {
        const dev = await import('@megrez/dev');
        await dev.devSignal(action, name, { dir });
        io.stdout(`${name} ${actions[action].done}\n`);
      });
  }
};
