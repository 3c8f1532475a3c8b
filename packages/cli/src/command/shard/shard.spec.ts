import { JobKind, JobState, ShardJob, ShardProgress, SlotState } from '@megrez/model';
import { describe, expect, test, vi } from 'vitest';
import { jobKind, jobState } from '../../progress';
import { formatRanges } from '../../ranges';
import { api, asked, lines, megrez, serveApi } from '../../testing/api';
import { shardView } from '../../views';

serveApi();

const drain = (state: JobState, message = ''): ShardJob =>
  ShardJob.create({ id: 7, kind: JobKind.DRAIN, host: 'h1', state, total: 4, tables: 2, message });
const step = (done: number, job?: ShardJob, more: Partial<ShardProgress> = {}): ShardProgress =>
  ShardProgress.create({ total: 4, done, tablesTotal: 2, tablesDone: done >> 1, ...(job ? { job } : {}), ...more });
const row = (state: string): string => {
  const width = Math.max('STATE'.length, state.length);
  return lines(
    `JOB  KIND   OF       ${'STATE'.padEnd(width)}  SLOTS  TABLES  MESSAGE`,
    `  7  drain  host h1  ${state.padEnd(width)}      4       2  -`,
  );
};

describe('tables', () => {
  test('list', async () => {
    expect((await megrez('shard list acme --host h2 --no-entries')).stdout).toBe(
      lines(
        'VPC   SUBNET      HOST  STATE              PRIMARY  SECONDARY  ENTRIES  LOOKUPS/S  EPOCH',
        'acme  (dividers)  h1    serving                256          0        2          0      3',
        'acme  web         h2    loading, detached        1          2       40         12      9',
      ),
    );
    expect(asked[0]?.request).toEqual({ vpc: 'acme', subnet: '', host: 'h2', withoutEntries: true });
    expect((await megrez('shard list acme/web -o wide')).stdout).toContain('0-2,9\n');
    expect(JSON.parse((await megrez('shard list -o json')).stdout)).toMatchObject([
      { subnet: '' },
      { slots: [0, 1, 2, 9] },
    ]);
  });

  test('plan: moves between the same hosts are a line', async () => {
    expect((await megrez('shard plan')).stdout).toBe(
      lines(
        'VPC   SUBNET  FROM  TO  SLOTS  WHY',
        'acme  web     h1    h2      3  h1 has too many',
        '',
        '3 slots would move, 12 entries with them',
        '  - vpc beta: one host for two dividers',
      ),
    );
  });

  test("names of kinds and states are the proto file's", () => {
    const text = (name: string | undefined) => name?.toLowerCase();
    for (const kind of [JobKind.REBALANCE, JobKind.DRAIN, JobKind.UNDRAIN, JobKind.MOVE]) {
      expect(jobKind(ShardJob.create({ kind }))).toBe(text(JobKind[kind]));
    }
    const { PENDING, RUNNING, PAUSED, CANCELLING, DONE, CANCELLED, FAILED } = JobState;
    for (const state of [PENDING, RUNNING, PAUSED, CANCELLING, DONE, CANCELLED, FAILED]) {
      expect(jobState(ShardJob.create({ state }))).toBe(text(JobState[state]));
    }
    const shown = shardView.columns.find(({ header }) => header === 'STATE');
    for (const state of [SlotState.LOADING, SlotState.SERVING, SlotState.LEAVING]) {
      expect(shown?.value({ state, attached: true } as never)).toBe(text(SlotState[state]));
    }
  });

  test('ranges', () => {
    expect([[], [5], [3, 1, 2], [0, 2, 4, 5]].map(formatRanges)).toEqual(['', '5', '1-3', '0,2,4-5']);
  });
});

describe('jobs', () => {
  test('without --wait it is left to itself once it is stored', async () => {
    api.progress = [step(0, drain(JobState.PENDING)), step(4, drain(JobState.DONE))];
    expect(await megrez('shard drain h1')).toEqual({ code: 0, stdout: row('pending'), stderr: '' });
    expect(asked).toEqual([{ method: 'drain', request: { host: 'h1' } }]);
  });

  test('with --wait: a line for each change, and how it ended', async () => {
    const running = drain(JobState.RUNNING);
    const moving = [{ vpc: 'acme', subnet: '', slot: 3, from: 'h1', to: 'h2', state: SlotState.LOADING, why: '' }];
    api.progress = [
      step(0, drain(JobState.PENDING)),
      step(1, running, { moving, waiting: ['h2 has not acknowledged'] }),
      step(1, running, { moving, waiting: ['h2 has not acknowledged'] }),
      step(4, drain(JobState.DONE)),
    ];
    expect(await megrez('shard drain h1 --wait')).toEqual({
      code: 0,
      stdout:
        lines(
          'job 7, drain of host h1: 0 of 4 slots, 0 of 2 tables, pending',
          'job 7, drain of host h1: 1 of 4 slots, 0 of 2 tables, 1 on their way; waiting: h2 has not acknowledged',
          'job 7, drain of host h1: 4 of 4 slots, 2 of 2 tables',
        ) + row('done'),
      stderr: '',
    });
  });

  test('on a terminal a bar is drawn over itself', async () => {
    api.progress = [step(0, drain(JobState.RUNNING)), step(2, drain(JobState.RUNNING)), step(4, drain(JobState.DONE))];
    const { stdout } = await megrez('shard undrain h1 --wait', undefined, 45);
    expect(stdout.split('\n')[0]).toBe(
      ['..............', '#######.......', '##############']
        .map((bar, i) => `\r[${bar}] ${2 * i} of 4 slots, ${i} of 2 tables\u001b[K`)
        .join(''),
    );
    expect(stdout).toContain(`\n${row('done')}`);
  });

  test('json: the job as it ended; progress goes beside it', async () => {
    api.progress = [step(0, drain(JobState.RUNNING)), step(3, drain(JobState.FAILED, 'h2 died'))];
    const { code, stdout, stderr } = await megrez('shard rebalance acme --wait -o json');
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { id: '7', state: 'JOB_STATE_FAILED', message: 'h2 died' }]);
    expect(stderr).toContain('3 of 4 slots');
    expect(asked[0]?.request).toEqual({ vpc: 'acme', subnet: '' });
  });

  test('a job that failed or was cancelled: exit code 1', async () => {
    api.progress = [step(3, drain(JobState.CANCELLED))];
    expect(await megrez('shard drain h1 --wait')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('cancelled'),
    });
  });

  test('a controller that is lost is asked again, or another, for the same job', async () => {
    api.progress = [step(0, drain(JobState.RUNNING)), 'lost', step(4, drain(JobState.DONE))];
    const { code, stdout } = await megrez('shard drain h1 --wait');
    expect([code, stdout.endsWith(row('done'))]).toEqual([0, true]);
    expect(asked).toEqual([
      { method: 'drain', request: { host: 'h1' } },
      { method: 'watchProgress', request: { vpc: '', subnet: '', job: 7 } },
    ]);
  });

  test('Ctrl-C leaves the job to itself, and says so', async () => {
    api.progress = [step(1, drain(JobState.RUNNING)), 'open'];
    const running = megrez('shard drain h1 --wait');
    await vi.waitFor(() => expect(asked.length + api.progress.length).toBe(1));
    // Time for what was said to arrive; without it the job has no name yet.
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.emit('SIGINT');
    expect(await running).toMatchObject({
      code: 130,
      stdout: expect.stringContaining('1 of 4 slots'),
      stderr: 'job 7 goes on: megrez shard watch --job 7, megrez shard cancel 7\n',
    });
  });

  test('one that is lost before it named a job is a failure', async () => {
    api.progress = ['lost'];
    expect(await megrez('shard drain h1 --wait')).toMatchObject({ code: 1, stdout: '' });
  });

  test('move', async () => {
    api.progress = [step(0, drain(JobState.PENDING))];
    await megrez('shard move acme/web --slot 0-2,9 --slot 2 --to h2');
    expect(asked[0]).toEqual({
      method: 'moveSlots',
      request: { vpc: 'acme', subnet: 'web', slots: [0, 1, 2, 9], to: 'h2', from: '' },
    });
    api.progress = [step(0, drain(JobState.PENDING))];
    await megrez('shard move acme --from h1 --to h2');
    expect(asked[0]?.request).toEqual({ vpc: 'acme', subnet: '', slots: [], to: 'h2', from: 'h1' });
  });

  test('watch', async () => {
    api.progress = [step(1), step(4)];
    expect(await megrez('shard watch acme')).toEqual({
      code: 0,
      stdout: lines('moving: 1 of 4 slots, 0 of 2 tables', 'moving: 4 of 4 slots, 2 of 2 tables', 'nothing moves'),
      stderr: '',
    });
    expect(asked[0]?.request).toEqual({ vpc: 'acme', subnet: '', job: 0 });
    api.progress = [ShardProgress.create({})];
    expect(await megrez('shard watch')).toEqual({ code: 0, stdout: 'nothing moves\n', stderr: '' });
    api.progress = [step(1, drain(JobState.RUNNING)), step(4, drain(JobState.DONE))];
    const { code, stdout } = await megrez('shard watch --job 7 -o json');
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).done),
    ).toEqual([1, 4]);
    expect([code, asked[0]?.request]).toEqual([0, { vpc: '', subnet: '', job: 7 }]);
  });

  test('pause, resume, cancel: the job that is named, or the only one', async () => {
    expect((await megrez('shard pause 9')).stdout).toContain('paused');
    expect(asked).toEqual([{ method: 'pauseJob', request: { job: 9 } }]);
    api.jobs = [drain(JobState.RUNNING)];
    expect((await megrez('shard cancel')).stdout).toContain('cancelling');
    expect(asked[1]).toEqual({ method: 'cancelJob', request: { job: 7 } });
    api.jobs = [drain(JobState.RUNNING), ShardJob.create({ id: 8, kind: JobKind.MOVE, vpc: 'acme', host: 'h2' })];
    expect(await megrez('shard resume')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('7 (drain of host h1), 8 (move of acme (dividers) to h2)'),
    });
    api.jobs = [];
    expect((await megrez('shard resume')).stderr).toContain('no job moves slots now (FAILED_PRECONDITION/NO_JOB');
    expect(await megrez('shard jobs')).toMatchObject({ code: 0, stderr: 'no jobs\n' });
  });

  test.each([
    ['shard move acme/web --to h2', 'name what to move'],
    ['shard move acme/web --slot 256 --to h2', 'slots from 0 to 255'],
    ['shard move acme/web --slot 9-3 --to h2', 'slots from 0 to 255'],
    ['shard move acme/web --slot 1', "required option '--to <host>'"],
    ['shard watch acme --job 7', "'--job' cannot be used"],
    ['shard pause x', 'from 1 to'],
    ['shard drain', "missing required argument 'host'"],
  ])("'%s' is not understood", async (line, message) => {
    const { code, stderr } = await megrez(line);
    expect([code, stderr.includes(message), asked]).toEqual([2, true, []]);
  });
});
