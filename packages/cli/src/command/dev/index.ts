import type { Command } from 'commander';
import type { Io } from '../../io';
import { devDown } from './down';
import { devExec, devHost } from './run';
import { devSignals } from './signal';
import { devUp } from './up';

export const dev = (program: Command, io: Io): void => {
  const noun = program.command('dev').description('a whole cluster on this machine, to try and to test');
  for (const verb of [devUp, devDown, devExec, devHost, devSignals]) verb(noun, io);
};
