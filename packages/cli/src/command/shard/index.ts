import type { Command } from 'commander';
import type { Io } from '../../io';
import { shardDrain, shardUndrain } from './drain';
import { shardControls, shardJobs } from './jobs';
import { shardList } from './list';
import { shardMove } from './move';
import { shardPlan } from './plan';
import { shardRebalance } from './rebalance';
import { shardWatch } from './watch';

export const shard = (program: Command, io: Io): void => {
  const noun = program.command('shard').description('where slots are, and how they move: bouncers and dividers');
  for (const verb of [shardList, shardPlan, shardRebalance, shardMove, shardDrain, shardUndrain]) verb(noun, io);
  for (const verb of [shardWatch, shardJobs, shardControls]) verb(noun, io);
};
