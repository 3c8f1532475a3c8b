import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from '@megrez/kernel';

type Collect = (options: {
  readonly type: 'major';
  readonly execution: 'sync';
  readonly flavor: 'last-resort';
}) => void;
let collect: Collect | undefined;

/**
 * Collects the garbage of starting or of a large snapshot, once, in some tens of milliseconds. Left to itself the heap
 * stays at twice what the host needs for ever, because nothing that follows is as large.
 */
export const giveBack = (): void => {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as Collect;
  }
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  trimMemory();
};
