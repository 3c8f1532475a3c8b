// The steps of `up`, each of which records its processes as it starts them.
import { connect } from '@megrez/client';
import { MegrezError } from '@megrez/model';
import { attachedHosts } from './api';
import { holderOf, holdHost, holdUnderlay } from './holder';
import { isAlive } from './identity';
import { controllerSocket, type Layout } from './layout';
import { agentArguments, type Cluster, controllerArguments, etcdArguments } from './plan';
import { type DevProcess, mustRun, readProcess, startProcess, tail } from './processes';
import { hostBatch, type UnderlayObjects, underlayBatch } from './underlay';
import { freePort, isHealthy, listens, type Patience, until } from './wait';

/** Waits for all, then throws the first failure: nothing may still be starting while we clean up. */
export async function settled<T extends readonly unknown[]>(
  work: { readonly [K in keyof T]: Promise<T[K]> },
): Promise<T> {
  await Promise.allSettled(work);
  return Promise.all(work) as Promise<T>;
}

/** Starts the hosts and wires them to the underlay. */
export async function startHosts(paths: Layout, cluster: Cluster, objects: UnderlayObjects): Promise<void> {
  const { hosts, underlay: kind, underlay_mtu } = cluster;
  const underlay = holdUnderlay(paths, cluster, objects);
  const holders = await settled(hosts.map(({ name }) => holdHost(paths, cluster, name)));
  const wires = hosts.map((host, i) => ({ host, pid: holders[i]?.process.pid ?? 0 }));
  await underlay.finish(underlayBatch(kind, wires, underlay_mtu));
  await settled(hosts.map(async (host, i) => holders[i]?.finish(hostBatch(host))));
}

/** Starts etcd; resolves with its client URL when it serves. */
export async function startEtcd(paths: Layout, cluster: Cluster, program: string, wait: Patience): Promise<string> {
  const url = (port: number) => `http://127.0.0.1:${port}`;
  const [client = 0] = await startServer(paths, cluster, 'etcd', wait, [0, 0], ([client = 0, peer = 0]) => ({
    role: 'etcd',
    command: [program, ...etcdArguments(paths.etcd, url(client), url(peer))],
    isReady: () => isHealthy(url(client)),
  }));
  return url(client);
}

/** The port of the first controller, when nobody has it. */
const standardPort = 7400;

/** Starts the controllers; resolves with the first one's address when each listens. */
export async function startControllers(paths: Layout, cluster: Cluster, more: readonly string[], wait: Patience) {
  const starts = cluster.controllers.map(async (name, i) => {
    const [port = 0] = await startServer(paths, cluster, name, wait, [i === 0 ? standardPort : 0], ([port = 0]) => ({
      role: 'controller',
      command: [...node(cluster), ...controllerArguments(paths, name, `127.0.0.1:${port}`, cluster.etcd), ...more],
      isReady: () => listens(controllerSocket(paths, name)),
    }));
    return `127.0.0.1:${port}`;
  });
  const [first = ''] = await settled(starts);
  return first;
}

interface Server {
  readonly role: 'etcd' | 'controller';
  readonly command: readonly string[];
  readonly isReady: () => Promise<boolean>;
}

/**
 * Starts a server on ports that are free, the preferred ones if they are. A port is free until it is taken: a server that
 * ends because another was quicker is started again elsewhere.
 */
async function startServer(
  paths: Layout,
  cluster: Cluster,
  name: string,
  wait: Patience,
  preferred: readonly number[],
  server: (ports: readonly number[]) => Server,
): Promise<readonly number[]> {
  for (let attempt = 1; ; attempt += 1) {
    const ports = await settled(preferred.map(freePort));
    const { role, command, isReady } = server(ports);
    const process = startProcess(paths, cluster, { name, role, command });
    await withTail(paths, name, () => until(name, wait, async () => !isAlive(process) || isReady()));
    if (isAlive(process)) {
      return ports;
    }
    const free = await settled(ports.map(freePort));
    const isLost = free.some((port, i) => port !== ports[i]) || new Set(ports).size < ports.length;
    if (attempt === 3 || !isLost) {
      mustRun(paths, process);
    }
  }
}

/** Adds the end of a process's log to the complaint that it is not ready. */
async function withTail<T>(paths: Layout, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof MegrezError) || error.code !== 'DEADLINE_EXCEEDED') {
      throw error;
    }
    const { code, reason, object, hosts } = error;
    throw new MegrezError({ code, reason, object, hosts, message: `${error.message}${tail(paths, name)}` });
  }
}

export function startAgents(paths: Layout, cluster: Cluster, more: readonly string[]): readonly DevProcess[] {
  return cluster.hosts.map((host) => {
    const holder = readProcess(paths, holderOf(host.name));
    if (!holder || !isAlive(holder)) {
      throw new Error(`host ${host.name} has no holder`);
    }
    const inside = ['nsenter', '--mount', '--net', '--target', String(holder.pid), '--'];
    const command = [
      ...inside,
      ...agentEnvironment,
      ...agentNode(cluster),
      ...agentArguments(paths, cluster.controllers, host),
      ...more,
    ];
    return startProcess(paths, cluster, { name: host.name, role: 'agent', command });
  });
}

const node = ({ program }: Cluster) => [process.execPath, '--enable-source-maps', program];

/** Resolves when the API says that every host is attached. */
export async function allAttached(paths: Layout, cluster: Cluster, agents: readonly DevProcess[], wait: Patience) {
  const client = connect(cluster.server, { deadline_ms: 2000 });
  try {
    for (const agent of agents) {
      await withTail(paths, agent.name, () =>
        until(agent.name, wait, async () => {
          for (const process of agents) {
            mustRun(paths, process);
          }
          return (await attachedHosts(client)).has(agent.name);
        }),
      );
    }
  } finally {
    client.close();
  }
}

/** Malloc arenas of every thread keep what it once used: 4 MiB of an agent with 100,000 mappings (97.1 to 92.7). */
const agentEnvironment = ['env', 'MALLOC_ARENA_MAX=1'];

/** Reading source maps costs an agent 26 MB, a large nursery 20, threads that collect 3.5: half of what one may need. */
const agentNode = ({ program }: Cluster) => [
  process.execPath,
  '--max-semi-space-size=1',
  '--single-threaded-gc',
  program,
];
