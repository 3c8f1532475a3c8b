import type { Command } from 'commander';
import { watchProgress } from '../../follow';
import type { Io } from '../../io';
import { scopeOf } from '../../scope';
import { jobId } from './jobs';

interface Flags {
  readonly job?: number;
}

export const shardWatch = (parent: Command, io: Io): void => {
  parent
    .command('watch')
    .description('show a job until it ends, or everything that moves until nothing does; json: an object a line')
    .argument('[vpc[/subnet]]')
    .option('--job <n>', 'number of a job', jobId)
    .addHelpText('after', '\nExamples:\n  megrez shard watch acme\n  megrez shard watch --job 7')
    .action((path: string | undefined, { job = 0 }: Flags, command: Command) => {
      if (path !== undefined && job !== 0) command.error("error: option '--job' cannot be used with a VPC or subnet");
      return watchProgress(
        command,
        io,
        ({ client, model }, abort) => client.shard.watchProgress({ ...scopeOf(path, model), job }, { abort }).responses,
      );
    });
};
