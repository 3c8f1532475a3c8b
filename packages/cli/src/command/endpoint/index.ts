import type { Command } from 'commander';
import type { Io } from '../../io';
import { endpointCreate } from './create';
import { endpointDelete } from './delete';
import { endpointGet } from './get';
import { endpointList } from './list';
import { endpointMove } from './move';

export const endpoint = (program: Command, io: Io): void => {
  const noun = program.command('endpoint').description('one address of a pod, VM or process, on a host');
  for (const verb of [endpointCreate, endpointGet, endpointList, endpointMove, endpointDelete]) verb(noun, io);
};
