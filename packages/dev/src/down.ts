import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MegrezError } from '@megrez/model';
import { type Identity, identify, isAlive, mountNamespace, signal, withEnvironment } from './identity';
import { directoryOf, type Layout, layout } from './layout';
import type { Cluster } from './plan';
import { clusterVariable, listProcesses } from './processes';
import { bootId, mustReadCluster, readCluster, release } from './state';

export interface DevDownOptions {
  /** Directory of the cluster; without it MEGREZ_DEV_DIR, else /run/megrez/dev. */
  readonly dir?: string;
}

export interface DevDownResult {
  readonly dir: string;
  /** How many processes were ended. */
  readonly ended: number;
}

/** Ends a cluster, whole or half dead, and removes everything it made. Throws NOT_RUNNING when there is none. */
export async function devDown({ dir }: DevDownOptions = {}): Promise<DevDownResult> {
  const { paths, cluster } = mustReadCluster(directoryOf(dir));
  return { dir: paths.dir, ended: await dismantle(paths, cluster) };
}

/** Does any process of the directory's cluster still run? False also when there is no cluster. */
export function isRunning(dir: string): boolean {
  const paths = layout(dir);
  const cluster = readCluster(paths);
  return cluster !== undefined && processesOf(paths, cluster).length > 0;
}

/** Kills every process of the cluster (the namespaces, mounts and interfaces go with their last one), then its files. */
export async function dismantle(paths: Layout, cluster: Cluster): Promise<number> {
  const killed = new Set<number>();
  const deadline = performance.now() + 10_000;
  for (;;) {
    const alive = processesOf(paths, cluster);
    if (alive.length === 0) {
      break;
    }
    if (performance.now() > deadline) {
      const pids = alive.map(({ pid }) => pid).join(', ');
      throw new MegrezError({
        code: 'INTERNAL',
        reason: 'NOT_KILLED',
        object: paths.dir,
        message: `Processes ${pids} of the cluster survive SIGKILL; its files are left in ${paths.dir}.`,
      });
    }
    for (const identity of alive) {
      signal(identity, 'SIGKILL');
      killed.add(identity.pid);
    }
    await sleep(10);
  }
  release(paths);
  return killed.size;
}

/** What was recorded, what carries the cluster's mark, and whatever else runs in its hosts' mount namespaces. */
function processesOf(paths: Layout, cluster: Cluster): readonly Identity[] {
  if (cluster.boot_id !== bootId()) {
    return [];
  }
  const recorded = listProcesses(paths).filter(isAlive);
  const marked = withEnvironment(clusterVariable, cluster.id);
  // Namespace numbers are reused: one counts while the holder that it was recorded for is alive and in it.
  const namespaces = new Set(
    recorded.map((holder) => holder.mount_namespace).filter((namespace) => namespace !== undefined),
  );
  const inside = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => namespaces.has(mountNamespace(Number(pid)) ?? ''))
    .map((pid) => identify(Number(pid)))
    .filter((identity) => identity !== undefined);
  return [...new Map([...recorded, ...marked, ...inside].map((identity) => [identity.pid, identity])).values()];
}
