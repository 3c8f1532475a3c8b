import { MegrezError } from '@megrez/model';
import { isAlive, isStopped, signal } from './identity';
import { directoryOf, type Layout } from './layout';
import { listProcesses, readProcess, startProcess } from './processes';
import { mustReadCluster } from './state';
import { patience, until } from './wait';

export type DevSignal = 'kill' | 'stop' | 'restart';

export interface DevSignalOptions {
  readonly dir?: string;
}

/**
 * `kill` sends SIGKILL, `stop` SIGSTOP; `restart` ends the process if it runs and starts it again with the same arguments.
 * @param name a host (its agent; the host's namespaces and pins stay), `controller-1` …, or `etcd`
 */
export async function devSignal(action: DevSignal, name: string, { dir }: DevSignalOptions = {}): Promise<void> {
  const { paths, cluster } = mustReadCluster(directoryOf(dir));
  const target = readProcess(paths, name);
  if (!target || target.role === 'holder') {
    throw unknown(paths, name);
  }
  if (action === 'restart') {
    signal(target, 'SIGKILL');
    await until(name, patience(10_000, new AbortController().signal), () => !isAlive(target));
    startProcess(paths, cluster, target);
    return;
  }
  if (!signal(target, action === 'kill' ? 'SIGKILL' : 'SIGSTOP')) {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'NOT_RUNNING',
      object: name,
      message: `${name} does not run. Start it with: megrez dev restart ${name}`,
    });
  }
  // The signal is sent, its effect takes a moment; who asked may count on it.
  await until(`${action} of ${name}`, patience(10_000, new AbortController().signal), () =>
    action === 'kill' ? !isAlive(target) : isStopped(target),
  );
}

function unknown(paths: Layout, name: string): MegrezError {
  const names = listProcesses(paths)
    .filter(({ role }) => role !== 'holder')
    .map((process) => process.name);
  return new MegrezError({
    code: 'NOT_FOUND',
    reason: 'UNKNOWN_PROCESS',
    object: name,
    message: `There is no ${name} in this cluster; there are: ${names.join(', ')}.`,
  });
}
