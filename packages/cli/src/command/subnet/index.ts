import type { Command } from 'commander';
import type { Io } from '../../io';
import { subnetCreate } from './create';
import { subnetDelete } from './delete';
import { subnetGet } from './get';
import { subnetList } from './list';
import { subnetUpdate } from './update';

export const subnet = (program: Command, io: Io): void => {
  const noun = program.command('subnet').description('a CIDR inside a VPC, and its bouncers');
  for (const verb of [subnetCreate, subnetGet, subnetList, subnetUpdate, subnetDelete]) verb(noun, io);
};
