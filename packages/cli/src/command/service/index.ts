import type { Command } from 'commander';
import type { Io } from '../../io';
import { serviceCreate } from './create';
import { serviceDelete } from './delete';
import { serviceGet } from './get';
import { serviceList } from './list';
import { serviceUpdate } from './update';

export const service = (program: Command, io: Io): void => {
  const noun = program.command('service').description('an address whose flows are spread over backends');
  for (const verb of [serviceCreate, serviceGet, serviceList, serviceUpdate, serviceDelete]) verb(noun, io);
};
