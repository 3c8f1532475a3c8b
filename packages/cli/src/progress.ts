import type { JobKind, JobState, ShardJob, ShardProgress } from '@megrez/model';

/** By number: the model is loaded by commands, when they run. */
const kinds: Readonly<Record<JobKind, string>> = ['job', 'rebalance', 'drain', 'undrain', 'move'];
const states: Readonly<Record<JobState, string>> = [
  'unknown',
  'pending',
  'running',
  'paused',
  'cancelling',
  'done',
  'cancelled',
  'failed',
];

export const jobKind = ({ kind }: ShardJob): string => kinds[kind] ?? `kind ${kind}`;
export const jobState = ({ state }: ShardJob): string => states[state] ?? `state ${state}`;

const ended: readonly string[] = ['done', 'cancelled', 'failed'];
export const hasEnded = (job: ShardJob): boolean => ended.includes(jobState(job));

/** How tables are called: `acme/web`; `acme (dividers)`. */
export const tableName = ({ vpc, subnet }: { readonly vpc: string; readonly subnet: string }): string =>
  subnet === '' ? `${vpc} (dividers)` : `${vpc}/${subnet}`;

/** What a job is about, in a word or three. */
export const jobSubject = (job: ShardJob): string => {
  const { vpc, subnet, host } = job;
  switch (jobKind(job)) {
    case 'drain':
    case 'undrain':
      return `host ${host}`;
    case 'move':
      return `${tableName(job)} to ${host}`;
    default:
      // Without a subnet a scope is the whole VPC, not only its dividers.
      return vpc === '' ? 'everything' : subnet === '' ? vpc : `${vpc}/${subnet}`;
  }
};

const jobTitle = (job: ShardJob): string => `job ${job.id}, ${jobKind(job)} of ${jobSubject(job)}`;

const waitingFor = ({ waiting }: ShardProgress): string => waiting.join('; ');

const parts = (progress: ShardProgress): readonly string[] => {
  const { total, done, tablesTotal, tablesDone, moving, job } = progress;
  const state = job === undefined ? '' : jobState(job);
  return [
    `${done} of ${total} slots`,
    ...(tablesTotal > 1 ? [`${tablesDone} of ${tablesTotal} tables`] : []),
    ...(moving.length > 0 ? [`${moving.length} on their way`] : []),
    ...(['paused', 'cancelling', 'pending'].includes(state) ? [state] : []),
  ];
};

/** One line, for logs: what moves, how far it is, and why it does not go on. */
export const progressLine = (progress: ShardProgress): string => {
  const title = progress.job === undefined ? 'moving' : jobTitle(progress.job);
  const waiting = waitingFor(progress);
  return `${title}: ${parts(progress).join(', ')}${waiting && `; waiting: ${waiting}`}`;
};

const most = 40;
const least = 10;

/** A bar and the same in figures, at most `columns` wide. */
export const progressBar = (progress: ShardProgress, columns: number): string => {
  const { total, done } = progress;
  const waiting = waitingFor(progress);
  const text = `${parts(progress).join(', ')}${waiting && `; ${waiting}`}`;
  const width = Math.max(least, Math.min(most, columns - text.length - 4));
  const filled = total === 0 ? 0 : Math.floor((width * done) / total);
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${text}`;
  // A line that wraps cannot be drawn over.
  return bar.slice(0, Math.max(0, columns - 1));
};
