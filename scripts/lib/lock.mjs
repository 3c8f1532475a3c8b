import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { cache } from './paths.mjs';
import { UserError } from './step.mjs';

/**
 * Runs `work` while no other setup of this checkout runs. The lock is flock(2) on a descriptor of ours that flock(1) takes
 * for us, so the kernel frees it however we end.
 */
export async function locked(work) {
  const descriptor = open();
  try {
    const take = (flags) =>
      spawnSync('flock', [...flags, '3'], { stdio: ['ignore', 'ignore', 'ignore', descriptor] }).status === 0;
    if (!take(['--nonblock'])) {
      process.stderr.write('  another setup of this checkout is running; waiting for it\n');
      if (!take(['--timeout', '1800'])) {
        throw new UserError('the other setup has not ended in half an hour; look for it with: ps ax | grep run.mjs');
      }
    }
    return await work();
  } finally {
    closeSync(descriptor);
  }
}

function open() {
  try {
    mkdirSync(cache, { recursive: true });
    return openSync(join(cache, 'lock'), 'w');
  } catch (error) {
    if (error.code !== 'EACCES' && error.code !== 'EROFS') {
      throw error;
    }
    throw new UserError(`${cache} cannot be written (${error.code}). Was setup run by another user? Try it with sudo.`);
  }
}
