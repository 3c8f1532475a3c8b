import type { Command } from 'commander';
import { followJob } from '../../follow';
import type { Io } from '../../io';
import { type WaitFlag, waitOption } from './wait';

export const shardDrain = (parent: Command, io: Io): void => {
  parent
    .command('drain')
    .description("move every slot away from a host, which may own none until 'undrain'; its endpoints stay")
    .argument('<host>')
    .addOption(waitOption())
    .addHelpText('after', '\nExample:\n  megrez shard drain h1 --wait')
    .action((host: string, { wait = false }: WaitFlag, command: Command) =>
      followJob(command, io, wait, ({ client }, abort) => client.shard.drain({ host }, { abort }).responses),
    );
};

export const shardUndrain = (parent: Command, io: Io): void => {
  parent
    .command('undrain')
    .description('let a host own slots again, and give it its share')
    .argument('<host>')
    .addOption(waitOption())
    .addHelpText('after', '\nExample:\n  megrez shard undrain h1 --wait')
    .action((host: string, { wait = false }: WaitFlag, command: Command) =>
      followJob(command, io, wait, ({ client }, abort) => client.shard.undrain({ host }, { abort }).responses),
    );
};
