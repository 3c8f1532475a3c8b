import { processIo } from './io';
import { run } from './run';

// A reader that has seen enough (`megrez endpoint list | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await run(process.argv.slice(2), processIo);
// What a service that failed to start has left open must not keep it.
if (process.exitCode !== 0) setTimeout(() => process.exit(), 1_000).unref();
