import type { Command } from 'commander';
import type { Io } from '../../io';
import { printList } from '../../output';
import { scopeOf } from '../../scope';
import { patience, withSession } from '../../session';
import { shardView } from '../../views';

interface Flags {
  readonly host?: string;
  /** commander's reading of `--no-entries`. */
  readonly entries: boolean;
}

export const shardList = (parent: Command, io: Io): void => {
  parent
    .command('list')
    .description("who holds which slots: a VPC's dividers, and the bouncers of its subnets")
    .argument('[vpc[/subnet]]')
    .option('--host <host>', 'only those of this host')
    .option('--no-entries', 'do not count the entries: quicker where there are many')
    .addHelpText('after', '\nExamples:\n  megrez shard list acme/web\n  megrez shard list --host h1 -o wide')
    .action((path: string | undefined, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const request = { ...scopeOf(path, model), host: flags.host ?? '', withoutEntries: !flags.entries };
          const { response } = await client.shard.listShards(request);
          await printList(io, format, model.Shard, shardView, response.shards);
        },
        patience.write_ms,
      ),
    );
};
