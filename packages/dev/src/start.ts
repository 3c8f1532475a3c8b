// The steps of `up`, each of which records its processes as it starts them.
import { connect } from '@megrez/client';
import { MegrezError } from '@megrez/model';
import { attachedHosts } from './api';
import { holderOf, holdHost, holdUnderlay, hostBatch, underlayBatch } from './holder';
import { isAlive } from './identity';
import { controllerSocket, type Layout } from './layout';
import { agentArguments, type Cluster, controllerArguments, etcdArguments } from './plan';
import { type DevProcess, mustRun, readProcess, startProcess, tail } from './processes';
import { freePort, isHealthy, listens, type Patience, until } from './wait';

/** Waits for all, then throws the first failure: nothing may still be starting while we clean up. */
export async function settled<T>(work: readonly Promise<T>[]): Promise<readonly T[]> {
  const results = await Promise.allSettled(work);
  return results.map((result) => {
    if (result.status === 'rejected') {
      throw result.reason;
    }
    return result.value;
  });
}

export async function startHosts(paths: Layout, cluster: Cluster): Promise<void> {
  const { hosts, underlay_mtu } = cluster;
  const underlay = holdUnderlay(paths, cluster);
  const holders = await settled(hosts.map(({ name }) => holdHost(paths, cluster, name)));
  const ends = hosts.map(({ name }, i) => ({ name, pid: holders[i]?.process.pid ?? 0 }));
  await underlay.finish(underlayBatch(ends, underlay_mtu));
  await settled(hosts.map(async (host, i) => holders[i]?.finish(hostBatch(host))));
}

export interface EtcdProgram {
  readonly program: string;
  readonly peer: string;
}

export async function startEtcd(paths: Layout, cluster: Cluster, { program, peer }: EtcdProgram, wait: Patience) {
  const command = [program, ...etcdArguments(paths.etcd, cluster.etcd, peer)];
  const process = startProcess(paths, cluster, { name: 'etcd', role: 'etcd', command });
  await until('etcd', wait, () => {
    mustRun(paths, process);
    return isHealthy(cluster.etcd);
  });
}

/** Starts the controllers, the first at the cluster's server address; resolves when each listens on its unix socket. */
export async function startControllers(paths: Layout, cluster: Cluster, more: readonly string[], wait: Patience) {
  const processes: DevProcess[] = [];
  for (const [i, name] of cluster.controllers.entries()) {
    const address = i === 0 ? cluster.server : `127.0.0.1:${await freePort()}`;
    const args = controllerArguments(paths, name, address, cluster.etcd);
    const command = [...node(cluster), ...args, ...more];
    processes.push(startProcess(paths, cluster, { name, role: 'controller', command }));
  }
  for (const process of processes) {
    await until(process.name, wait, () => {
      mustRun(paths, process);
      return listens(controllerSocket(paths, process.name));
    });
  }
  return processes;
}

export function startAgents(paths: Layout, cluster: Cluster, more: readonly string[]): readonly DevProcess[] {
  return cluster.hosts.map((host) => {
    const holder = readProcess(paths, holderOf(host.name));
    if (!holder || !isAlive(holder)) {
      throw new Error(`host ${host.name} has no holder`);
    }
    const inside = ['nsenter', '--mount', '--net', '--target', String(holder.pid), '--'];
    const command = [...inside, ...node(cluster), ...agentArguments(paths, cluster.controllers, host), ...more];
    return startProcess(paths, cluster, { name: host.name, role: 'agent', command });
  });
}

const node = ({ program }: Cluster) => [process.execPath, '--enable-source-maps', program];

/** Resolves when the API says that every host is attached. */
export async function allAttached(paths: Layout, cluster: Cluster, processes: readonly DevProcess[], wait: Patience) {
  const client = connect(cluster.server, { deadline_ms: 2000 });
  let missing: readonly string[] = [];
  try {
    await until('the cluster', wait, async () => {
      for (const process of processes) {
        mustRun(paths, process);
      }
      const attached = await attachedHosts(client);
      missing = cluster.hosts.map(({ name }) => name).filter((name) => !attached.has(name));
      return missing.length === 0;
    });
  } catch (error) {
    if (error instanceof MegrezError && error.code === 'DEADLINE_EXCEEDED') {
      const [first = 'h1'] = missing;
      const message = `${missing.join(', ')}: not attached in time${tail(paths, first)}`;
      const { code, reason, object } = error;
      throw new MegrezError({ code, reason, object, message, hosts: missing });
    }
    throw error;
  } finally {
    client.close();
  }
}
