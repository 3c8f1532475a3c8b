import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { MegrezError } from '@megrez/model';
import { defaultDirectory, type Layout, layout } from './layout';
import type { Cluster } from './plan';
import { writeFile } from './processes';

export const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export function readCluster(paths: Layout): Cluster | undefined {
  if (!existsSync(paths.state)) {
    return undefined;
  }
  const text = readFileSync(paths.state, 'utf8');
  const cluster = JSON.parse(text) as Cluster;
  if (cluster.version !== 1 || typeof cluster.id !== 'string') {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'STATE_NOT_UNDERSTOOD',
      object: paths.state,
      message: `${paths.state} was not written by this version of megrez dev.`,
    });
  }
  return cluster;
}

/** The cluster of a directory; an error that says what to type when there is none. */
export function mustReadCluster(dir: string): { readonly paths: Layout; readonly cluster: Cluster } {
  const paths = layout(dir);
  const cluster = readCluster(paths);
  if (!cluster) {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'NOT_RUNNING',
      object: dir,
      message: `No dev cluster runs in ${dir}. Start one with: megrez dev up --hosts 3`,
    });
  }
  return { paths, cluster };
}

/** Claims an empty or absent directory for this cluster; of two that try at once, one gets it. */
export function claim(paths: Layout, cluster: Cluster): void {
  mkdirSync(paths.dir, { recursive: true, mode: 0o755 });
  if (!existsSync(paths.state) && readdirSync(paths.dir).length > 0) {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'DIRECTORY_NOT_EMPTY',
      object: paths.dir,
      message: `${paths.dir} holds files that are not a dev cluster's; choose another --dir.`,
    });
  }
  try {
    writeFileSync(paths.state, `${JSON.stringify(cluster, undefined, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw error;
    }
    throw alreadyRunning(paths);
  }
  for (const directory of [paths.logs, paths.processes, paths.etcd, paths.sockets, paths.hosts]) {
    mkdirSync(directory, { mode: 0o700 });
  }
}

/** Replaces what the claim said, once addresses are known. */
export function writeCluster(paths: Layout, cluster: Cluster): void {
  writeFile(paths.state, `${JSON.stringify(cluster, undefined, 2)}\n`);
}

export const alreadyRunning = (paths: Layout) =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'ALREADY_RUNNING',
    object: paths.dir,
    message: `A dev cluster runs in ${paths.dir} already. Use it, stop it with: megrez dev down, or choose another --dir.`,
  });

/** Removes what `claim` and the cluster's processes made, and nothing else that may lie there; the claim goes last. */
export function release(paths: Layout): void {
  for (const path of [paths.server, paths.processes, paths.etcd, paths.sockets, paths.hosts, paths.logs, paths.state]) {
    rmSync(path, { recursive: true, force: true });
  }
  removeEmpty(paths.dir);
  if (paths.dir === defaultDirectory) {
    removeEmpty('/run/megrez');
  }
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT' && code !== 'EBUSY') {
      throw error;
    }
  }
}
