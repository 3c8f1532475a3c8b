import { JobKind, JobState, type ShardJob } from '@megrez/model';

/** Its slots may set out. */
export const isActive = ({ state }: ShardJob): boolean => state === JobState.PENDING || state === JobState.RUNNING;

export const hasEnded = ({ state }: ShardJob): boolean =>
  state === JobState.DONE || state === JobState.CANCELLED || state === JobState.FAILED;

/** Of these at most one is under way: each places the whole of its scope. */
export const isRebalance = ({ kind }: ShardJob): boolean => kind === JobKind.REBALANCE || kind === JobKind.UNDRAIN;

/** For people: `job 7 (drain of h1)`. */
export const jobName = ({ id, kind, host, vpc, subnet }: ShardJob): string => {
  const scope = vpc === '' ? 'all tables' : `${vpc}${subnet === '' ? '' : `/${subnet}`}`;
  const what = {
    [JobKind.UNSPECIFIED]: 'unknown',
    [JobKind.REBALANCE]: `rebalance of ${scope}`,
    [JobKind.DRAIN]: `drain of ${host}`,
    [JobKind.UNDRAIN]: `undrain of ${host}`,
    [JobKind.MOVE]: `move of slots of ${scope} to ${host}`,
  }[kind];
  return `job ${id} (${what})`;
};
