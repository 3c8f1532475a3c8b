import type { Command } from 'commander';
import { followJob } from '../../follow';
import type { Io } from '../../io';
import { scopeOf } from '../../scope';
import { type WaitFlag, waitOption } from './wait';

export const shardRebalance = (parent: Command, io: Io): void => {
  parent
    .command('rebalance')
    .description('move slots until every table is balanced over the eligible hosts; nothing is lost meanwhile')
    .argument('[vpc[/subnet]]')
    .addOption(waitOption())
    .addHelpText('after', '\nExample:\n  megrez shard rebalance acme --wait')
    .action((path: string | undefined, { wait = false }: WaitFlag, command: Command) =>
      followJob(
        command,
        io,
        wait,
        ({ client, model }, abort) => client.shard.rebalance(scopeOf(path, model), { abort }).responses,
      ),
    );
};
