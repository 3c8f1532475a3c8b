import { type Command, Option } from 'commander';
import { followJob } from '../../follow';
import type { Io } from '../../io';
import { parseSlots } from '../../ranges';
import { scopeOf } from '../../scope';
import { type WaitFlag, waitOption } from './wait';

interface Flags extends WaitFlag {
  readonly slot?: readonly number[];
  readonly to: string;
  readonly from?: string;
}

export const shardMove = (parent: Command, io: Io): void => {
  parent
    .command('move')
    .description('move slots of a table to a host, whatever the balance; they stay until a rebalance, drain or failure')
    .argument('<vpc[/subnet]>', "a subnet, or a VPC for its dividers' table")
    .addOption(
      new Option('--slot <n>', 'slot 0 to 255, or several: 0-15,32 (repeatable; default: all of --from)').argParser(
        (text: string, previous: readonly number[] | undefined) => [...(previous ?? []), ...parseSlots(text)],
      ),
    )
    .requiredOption('--to <host>', 'host that is to hold them')
    .option('--from <host>', "holder that gives its place (default: each slot's primary)")
    .addOption(waitOption())
    .addHelpText('after', '\nExample:\n  megrez shard move acme/web --slot 0-15 --to h2 --wait')
    .action((path: string, flags: Flags, command: Command) => {
      const { slot = [], to, from = '', wait = false } = flags;
      if (slot.length === 0 && from === '')
        command.error("error: name what to move: '--slot', or '--from' for all of a host");
      const slots = [...new Set(slot)];
      return followJob(
        command,
        io,
        wait,
        ({ client, model }, abort) =>
          client.shard.moveSlots({ ...scopeOf(path, model), slots, to, from }, { abort }).responses,
      );
    });
};
