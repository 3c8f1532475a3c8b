import { CommanderError } from 'commander';
import { printFailure } from './failure';
import { Exit, type Io } from './io';
import { createProgram } from './program';

/**
 * Runs one command line (without the program's name). Returns the exit code: 0, 1 for a failure (one line on stderr),
 * 2 for a command line that is not understood, or what the command decides.
 */
export const run = async (argv: readonly string[], io: Io): Promise<number> => {
  try {
    await createProgram(io).parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof Exit) return error.exitCode;
    // Already printed; help and version end this way too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    printFailure(io, error);
    return 1;
  }
};
