import { setTimeout as sleep } from 'node:timers/promises';
import type { ShardProgress } from '@megrez/model';
import type { Command } from 'commander';
import { Exit, type Io } from './io';
import { isData, printData, printOne } from './output';
import { hasEnded, jobState, progressBar, progressLine } from './progress';
import { globalFlags, type OpenSession, openSession, patience, type Session } from './session';
import { jobView } from './views';

/** Begins a stream of progress; it ends when `hangUp` says so. */
export type Begin = (session: Session, hangUp: AbortSignal) => AsyncIterable<ShardProgress>;

/** A controller may end while a job goes on; another, or the same one again, tells the rest. */
const reconnect = { every_ms: 500, for_ms: 60_000 } as const;

const isLost = (error: unknown): boolean =>
  error instanceof Error && error.name === 'MegrezError' && 'code' in error && error.code === 'UNAVAILABLE';

/** The stream, and once it has named a job the same from another controller when this one is lost. */
async function* lasting(command: Command, io: Io, begin: Begin, hangUp: AbortSignal): AsyncGenerator<ShardProgress> {
  let next = begin;
  let giveUp = 0;
  let job = 0;
  for (;;) {
    let session: OpenSession | undefined;
    try {
      session = await openSession(command, io, patience.write_ms);
      for await (const progress of next(session, hangUp)) {
        job = progress.job?.id ?? job;
        giveUp = performance.now() + reconnect.for_ms;
        yield progress;
      }
      return;
    } catch (error) {
      if (job === 0 || hangUp.aborted || !isLost(error) || performance.now() > giveUp) throw error;
    } finally {
      session?.close();
    }
    await sleep(reconnect.every_ms, undefined, { signal: hangUp });
    next = ({ client }, abort) => client.shard.watchProgress({ vpc: '', subnet: '', job }, { abort }).responses;
  }
}

/** Draws over its own line on a terminal; elsewhere a line for each change. */
const progressPrinter = (io: Io, isForData: boolean) => {
  const columns = isForData ? undefined : io.columns;
  const write = isForData ? io.stderr : io.stdout;
  let last = '';
  let isOpen = false;
  return {
    show: (progress: ShardProgress): void => {
      const text = columns === undefined ? progressLine(progress) : progressBar(progress, columns);
      if (text === last) return;
      last = text;
      isOpen = columns !== undefined;
      write(isOpen ? `\r${text}\u001b[K` : `${text}\n`);
    },
    end: (): void => {
      if (isOpen) write('\n');
      isOpen = false;
    },
  };
};

/** Reads a stream to its end, or for as long as `use` says so; Ctrl-C hangs up, and `interrupted` may say a last word. */
const read = async (
  command: Command,
  io: Io,
  begin: Begin,
  use: (progress: ShardProgress) => Promise<boolean> | boolean,
  interrupted: () => void,
): Promise<void> => {
  const hangUp = new AbortController();
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
    hangUp.abort();
  };
  process.once('SIGINT', interrupt);
  try {
    for await (const progress of lasting(command, io, begin, hangUp.signal)) {
      if (!(await use(progress))) break;
    }
  } catch (error) {
    if (!isInterrupted) throw error;
  } finally {
    process.off('SIGINT', interrupt);
    hangUp.abort();
  }
  if (isInterrupted) {
    interrupted();
    throw new Exit(130);
  }
};

/**
 * Starts a job. Without `wait` it is left to itself as soon as it is stored; with it the call returns when the job has
 * ended, and fails with exit code 1 when that was not by being done. Ctrl-C leaves the job to itself, too.
 */
export const followJob = async (command: Command, io: Io, wait: boolean, begin: Begin): Promise<void> => {
  const { output } = globalFlags(command);
  const printer = progressPrinter(io, isData(output));
  let last: ShardProgress | undefined;
  try {
    await read(
      command,
      io,
      begin,
      (progress) => {
        last = progress;
        if (wait) printer.show(progress);
        return wait || progress.job === undefined;
      },
      () => {
        const id = last?.job?.id;
        printer.end();
        if (id !== undefined)
          io.stderr(`job ${id} goes on: megrez shard watch --job ${id}, megrez shard cancel ${id}\n`);
      },
    );
  } finally {
    printer.end();
  }
  const { ShardJob } = await import('@megrez/model');
  const job = last?.job;
  if (job === undefined) throw new Error('the controller stored no job and named no reason');
  await printOne(io, output, ShardJob, jobView, job);
  if (wait && (!hasEnded(job) || jobState(job) !== 'done')) throw new Exit(1);
};

/** Nothing moves, and nothing is to. */
const isStill = ({ total, moving, waiting, job }: ShardProgress): boolean =>
  job === undefined && total === 0 && moving.length === 0 && waiting.length === 0;

/** Shows what moves until nothing does, or until the job has ended (exit code 1 when not by being done). */
export const watchProgress = async (command: Command, io: Io, begin: Begin): Promise<void> => {
  const { output } = globalFlags(command);
  const printer = progressPrinter(io, false);
  const model = await import('@megrez/model');
  let last: ShardProgress | undefined;
  try {
    await read(
      command,
      io,
      begin,
      async (progress) => {
        last = progress;
        if (output === 'yaml') io.stdout('---\n');
        const message = (): unknown => model.ShardProgress.toJson(progress, { emitDefaultValues: true });
        if (output === 'json') io.stdout(`${JSON.stringify(message())}\n`);
        else if (output === 'yaml') await printData(io, output, message());
        else if (!isStill(progress)) printer.show(progress);
        return true;
      },
      () => printer.end(),
    );
  } finally {
    printer.end();
  }
  const job = last?.job;
  if (job !== undefined && jobState(job) !== 'done') throw new Exit(1);
  if (!isData(output)) {
    if (job !== undefined) await printOne(io, output, model.ShardJob, jobView, job);
    else io.stdout('nothing moves\n');
  }
};
