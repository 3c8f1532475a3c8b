import type { Command } from 'commander';
import type { Io } from '../../io';
import { hostDelete } from './delete';
import { hostGet } from './get';
import { hostList } from './list';
import { hostUpdate } from './update';

export const host = (program: Command, io: Io): void => {
  const noun = program.command('host').description('a machine that runs an agent');
  for (const verb of [hostGet, hostList, hostUpdate, hostDelete]) verb(noun, io);
};
