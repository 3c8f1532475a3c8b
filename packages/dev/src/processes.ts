import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MegrezError } from '@megrez/model';
import { type Identity, identify, isAlive } from './identity';
import { type Layout, logOf } from './layout';
import type { Cluster } from './plan';

/** Carried by every process of a cluster and by what `dev exec` and `dev host` start, so that `down` finds them all. */
export const clusterVariable = 'MEGREZ_DEV_CLUSTER';

type Role = 'etcd' | 'controller' | 'agent' | 'holder';

/** A process of a cluster, in a file of its own: two commands that change two processes never meet. */
export interface DevProcess extends Identity {
  readonly name: string;
  readonly role: Role;
  readonly command: readonly string[];
  /** The one that a host's holder made for itself; absent before it has. */
  readonly mount_namespace?: string;
}

const fileOf = (paths: Layout, name: string) => join(paths.processes, `${name}.json`);

export function writeFile(path: string, text: string): void {
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}

export function record(paths: Layout, process: DevProcess): void {
  writeFile(fileOf(paths, process.name), `${JSON.stringify(process, undefined, 2)}\n`);
}

export function readProcess(paths: Layout, name: string): DevProcess | undefined {
  const path = fileOf(paths, name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as DevProcess) : undefined;
}

export function listProcesses(paths: Layout): readonly DevProcess[] {
  const names = existsSync(paths.processes) ? readdirSync(paths.processes) : [];
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => readProcess(paths, name.slice(0, -'.json'.length)))
    .filter((process) => process !== undefined);
}

/** What a process of the cluster sees: not the settings of whoever started it. */
export function clusterEnvironment({ id, compile_cache }: Cluster): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(MEGREZ|VITEST|NODE)_/.test(name) && name !== 'VITEST');
  return { ...Object.fromEntries(own), NODE_COMPILE_CACHE: compile_cache, [clusterVariable]: id };
}

/** Starts a process that outlives us, in a session of its own, with its output in its log, and records it. */
export function startProcess(
  paths: Layout,
  cluster: Cluster,
  what: Pick<DevProcess, 'name' | 'role' | 'command'>,
): DevProcess {
  return launch(paths, cluster, what, 'ignore', 'log').process;
}

/** Like `startProcess`, for a process that is told something by stdin and answers on stdout while it starts. */
export function startHolder(paths: Layout, cluster: Cluster, name: string, command: readonly string[]) {
  return launch(paths, cluster, { name, role: 'holder', command }, 'pipe', 'pipe');
}

function launch(
  paths: Layout,
  cluster: Cluster,
  { name, role, command }: Pick<DevProcess, 'name' | 'role' | 'command'>,
  stdin: 'ignore' | 'pipe',
  stdout: 'log' | 'pipe',
): { readonly process: DevProcess; readonly child: ChildProcess } {
  const [program = '', ...args] = command;
  const log = openSync(logOf(paths, name), 'a');
  try {
    const stdio = [stdin, stdout === 'log' ? log : stdout, log] as const;
    const child = spawn(program, args, {
      cwd: '/',
      detached: true,
      stdio: [...stdio],
      env: clusterEnvironment(cluster),
    });
    // A program that cannot be started emits `error`; that it has no pid is what we go by.
    child.on('error', () => {});
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (!identity) {
      const message = `${program} cannot be started${tail(paths, name)}`;
      throw new MegrezError({ code: 'INTERNAL', reason: 'NOT_STARTED', object: name, message });
    }
    child.unref();
    const process = { ...identity, name, role, command };
    record(paths, process);
    return { process, child };
  } finally {
    closeSync(log);
  }
}

/** The end of a process's log, to be put behind a sentence; empty when it said nothing. */
export function tail(paths: Layout, name: string, lines = 15): string {
  const path = logOf(paths, name);
  const text = existsSync(path) ? readFileSync(path, 'utf8').trimEnd() : '';
  return text ? `; the end of ${path}:\n${text.split('\n').slice(-lines).join('\n')}` : '';
}

/** Throws, with the end of its log, when a process that should run does not. */
export function mustRun(paths: Layout, process: DevProcess): void {
  if (!isAlive(process)) {
    throw new MegrezError({
      code: 'INTERNAL',
      reason: 'PROCESS_ENDED',
      object: process.name,
      message: `${process.name} has ended${tail(paths, process.name)}`,
    });
  }
}
