import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type DevCluster, type DevUpOptions, devDown, devUp } from '@megrez/dev';

/** Clusters of one test file, each in a directory of its own, all of them removed by `close`. */
export interface Clusters {
  /** A directory that is not there yet. `npm test` ends what a killed run leaves in it. */
  directory(): string;
  up(options?: Omit<DevUpOptions, 'dir'>): Promise<DevCluster>;
  close(): Promise<void>;
}

export function clusters(): Clusters {
  const parent = process.env.MEGREZ_TEST_DIR ?? '/run/megrez-test';
  const directories: string[] = [];
  const directory = () => {
    mkdirSync(parent, { recursive: true });
    // Directly below the parent, so that a leftover is found.
    const dir = mkdtempSync(join(parent, 'c'));
    rmSync(dir, { recursive: true });
    directories.push(dir);
    return dir;
  };
  return {
    directory,
    up: (options = {}) => devUp({ ...options, dir: directory() }),
    close: async () => {
      for (const dir of directories) {
        await devDown({ dir }).catch((error: { reason?: string }) => {
          if (error.reason !== 'NOT_RUNNING') {
            throw error;
          }
        });
      }
      if (process.env.MEGREZ_TEST_DIR === undefined && directories.length > 0) {
        rmSync(dirname(directories[0] ?? ''), { recursive: true, force: true });
      }
    },
  };
}
