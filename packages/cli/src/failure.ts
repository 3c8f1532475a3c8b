import type { MegrezError } from '@megrez/model';
import type { Io } from './io';

/** By name: loading the model only to compare a class would slow every start. */
const isMegrezError = (error: unknown): error is MegrezError => error instanceof Error && error.name === 'MegrezError';

/** What to do about errors that the controller cannot explain. */
const hints: Readonly<Record<string, string>> = {
  UNREACHABLE: '; start one (megrez dev up), or name another with --server',
};

/** One line: `megrez: <message> (<CODE>/<REASON>, <object>)`. */
export const formatFailure = (error: unknown): string => {
  if (isMegrezError(error)) {
    const silent = error.code === 'DEADLINE_EXCEEDED' && error.hosts.length > 0;
    const hosts = silent ? `; no answer from ${error.hosts.join(', ')}` : '';
    const hint = hints[error.reason] ?? '';
    return oneLine(`${error.message}${hosts}${hint} (${error.code}/${error.reason}, ${error.object})`);
  }
  return oneLine(error instanceof Error ? error.message : String(error));
};

/** Writes the line. What is no MegrezError is a defect or a broken machine: with MEGREZ_DEBUG the stack follows. */
export const printFailure = (io: Io, error: unknown): void => {
  io.stderr(`megrez: ${formatFailure(error)}\n`);
  if (io.env.MEGREZ_DEBUG && error instanceof Error) io.stderr(`${error.stack}\n`);
};

/** Several lines as one. */
export const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ');
