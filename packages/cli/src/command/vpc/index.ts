import type { Command } from 'commander';
import type { Io } from '../../io';
import { vpcCreate } from './create';
import { vpcDelete } from './delete';
import { vpcGet } from './get';
import { vpcList } from './list';
import { vpcUpdate } from './update';

export const vpc = (program: Command, io: Io): void => {
  const noun = program.command('vpc').description("a tenant's private address space");
  for (const verb of [vpcCreate, vpcGet, vpcList, vpcUpdate, vpcDelete]) verb(noun, io);
};
