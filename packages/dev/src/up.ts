import { randomBytes } from 'node:crypto';
import { MegrezError } from '@megrez/model';
import { validate } from './arguments';
import { dismantle, isRunning } from './down';
import { directoryOf, type Layout, layout } from './layout';
import { type Cluster, type DevHost, planControllers, planHosts, type Underlay } from './plan';
import { writeFile } from './processes';
import { findProgram, type Program } from './program';
import { allAttached, settled, startAgents, startControllers, startEtcd, startHosts } from './start';
import { alreadyRunning, bootId, claim, readCluster, release, writeCluster } from './state';
import { patience } from './wait';

export interface DevUpOptions {
  /** 1 to 1,000; without it 3. They are named h1, h2 … */
  readonly hosts?: number;
  /** 1 to 9; without it 1. */
  readonly controllers?: number;
  /** Directory of the cluster, absent or empty; without it MEGREZ_DEV_DIR, else /run/megrez/dev. */
  readonly dir?: string;
  /** The megrez bundle; without it the one we are part of, or the checkout's. */
  readonly program?: string;
  /** What is between the hosts; without it a bridge. */
  readonly underlay?: Underlay;
  /** 1,280 to 65,535; without it 1,500. */
  readonly underlay_mtu?: number;
  /** Given to every controller, behind our own arguments. */
  readonly controllerArguments?: readonly string[];
  /** Given to every agent, behind our own arguments. */
  readonly agentArguments?: readonly string[];
  /** How long all of it may take; without it 60,000. */
  readonly timeout_ms?: number;
  /** Hears what happens, a line at a time. */
  readonly onProgress?: (line: string) => void;
}

export interface DevCluster {
  readonly dir: string;
  /** For MEGREZ_SERVER. */
  readonly server: string;
  /** Client URL of the private etcd. */
  readonly etcd: string;
  readonly hosts: readonly DevHost[];
  readonly controllers: readonly string[];
}

/** Starts a cluster and returns when every host is attached. On failure or Ctrl-C nothing is left behind. */
export async function devUp(options: DevUpOptions = {}): Promise<DevCluster> {
  const { hosts = 3, controllers = 1, underlay = 'bridge', underlay_mtu = 1500, onProgress = () => {} } = options;
  const paths = layout(directoryOf(options.dir));
  validate({ hosts, controllers, underlay, underlay_mtu, paths });
  const found = findProgram(options.program);
  reclaim(paths, onProgress);

  const claimed: Cluster = {
    version: 1,
    id: randomBytes(8).toString('hex'),
    boot_id: bootId(),
    program: found.program,
    compile_cache: found.compile_cache,
    server: '',
    etcd: '',
    hosts: planHosts(hosts, underlay),
    controllers: planControllers(controllers),
    underlay,
    underlay_mtu,
  };
  claim(paths, claimed);
  const cluster = await withCleanup(paths, claimed, (interrupt) => start(paths, claimed, found, options, interrupt));
  return {
    dir: paths.dir,
    server: cluster.server,
    etcd: cluster.etcd,
    hosts: cluster.hosts,
    controllers: cluster.controllers,
  };
}

async function start(
  paths: Layout,
  claimed: Cluster,
  found: Program,
  { timeout_ms = 60_000, controllerArguments = [], agentArguments = [], onProgress = () => {} }: DevUpOptions,
  interrupt: AbortSignal,
): Promise<Cluster> {
  const wait = patience(timeout_ms, interrupt);
  const [etcd] = await settled([
    startEtcd(paths, claimed, found.etcd, wait),
    startHosts(paths, claimed, found.ports),
  ] as const);
  onProgress(`etcd answers at ${etcd}; ${claimed.hosts.length} hosts are wired to the underlay`);
  const server = await startControllers(paths, { ...claimed, etcd }, controllerArguments, wait);
  onProgress(`${claimed.controllers.join(', ')}: listening, the first at ${server}`);
  const cluster = { ...claimed, etcd, server };
  writeCluster(paths, cluster);
  await allAttached(paths, cluster, startAgents(paths, cluster, agentArguments), wait);
  onProgress(`${cluster.hosts.map(({ name, address }) => `${name} (${address})`).join(', ')}: attached`);
  writeFile(paths.server, `${server}\n`);
  return cluster;
}

/** Dismantles the cluster when `work` fails or a signal interrupts it. */
async function withCleanup<T>(paths: Layout, cluster: Cluster, work: (interrupt: AbortSignal) => Promise<T>) {
  const interrupt = new AbortController();
  const interrupted = (name: NodeJS.Signals) =>
    interrupt.abort(
      new MegrezError({
        code: 'ABORTED',
        reason: 'INTERRUPTED',
        object: paths.dir,
        message: `Interrupted by ${name}; everything that had been started is removed again.`,
      }),
    );
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted).on('SIGHUP', interrupted);
  try {
    return await work(interrupt.signal);
  } catch (error) {
    await dismantle(paths, cluster);
    throw error;
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted).off('SIGHUP', interrupted);
  }
}

/** Makes way for a new cluster: refuses beside a running one, removes the files of a dead one. */
function reclaim(paths: Layout, onProgress: (line: string) => void): void {
  if (!readCluster(paths)) {
    return;
  }
  if (isRunning(paths.dir)) {
    throw alreadyRunning(paths);
  }
  onProgress(`removing what a dead cluster left in ${paths.dir}`);
  release(paths);
}
