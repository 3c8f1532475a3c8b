// Something must hold a host's namespaces and bpffs: pins die with their mount namespace when its last process exits, and
// the point of a killed agent is that they do not.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { MegrezError } from '@megrez/model';
import { mountNamespace } from './identity';
import { agentState, type Layout } from './layout';
import type { Cluster } from './plan';
import { type DevProcess, record, startHolder, tail } from './processes';
import { cpuMask, followLinks, type UnderlayObjects, underlaySetup } from './underlay';

export const underlayHolder = 'underlay';
export const holderOf = (host: string) => `holder-${host}`;

/**
 * One host. sysfs is mounted anew because it shows the network namespace it was mounted in. veth reorders packets by itself
 * unless RPS ties a flow to one CPU ($2 is the mask of all).
 */
const hostScript = `
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs -o mode=0700 tmpfs "$1"
echo mounted
ip -batch -
ethtool -K eth0 gro on
for queue in /sys/class/net/eth0/queues/rx-*; do echo "$2" >"$queue/rps_cpus"; done
echo ready
exec sleep infinity </dev/null >/dev/null`;

interface Holder {
  readonly process: DevProcess;
  /** Resolves when the script prints the word. */
  said(word: string): Promise<void>;
  /** Tells the script the rest and waits until it is done. */
  finish(batch: string): Promise<void>;
}

/** Starts the holder of the underlay. */
export function holdUnderlay(paths: Layout, cluster: Cluster, objects: UnderlayObjects): Holder {
  const { script, args } = underlaySetup(cluster.underlay, objects);
  return hold(paths, cluster, underlayHolder, `${script}${followLinks}`, args);
}

/** Starts the holder of a host; resolves when its namespaces exist. */
export async function holdHost(paths: Layout, cluster: Cluster, host: string): Promise<Holder> {
  const state = agentState(paths, host);
  mkdirSync(state, { mode: 0o700 });
  const holder = hold(paths, cluster, holderOf(host), hostScript, [state, cpuMask(availableParallelism())]);
  await holder.said('mounted');
  const namespace = mountNamespace(holder.process.pid);
  record(paths, { ...holder.process, ...(namespace === undefined ? {} : { mount_namespace: namespace }) });
  return holder;
}

function hold(paths: Layout, cluster: Cluster, name: string, script: string, args: readonly string[]): Holder {
  const namespaces = ['unshare', '--mount', '--net', '--propagation', 'private', '--'];
  const { process, child } = startHolder(paths, cluster, name, [...namespaces, 'sh', '-euc', script, name, ...args]);
  return {
    process,
    said: (word) => said(paths, process, child, word),
    finish: (batch) => finish(paths, process, child, batch),
  };
}

async function finish(paths: Layout, process: DevProcess, child: ChildProcess, batch: string): Promise<void> {
  const ready = said(paths, process, child, 'ready');
  child.stdin?.end(batch);
  await ready;
  child.stdout?.destroy();
}

/** Resolves when the script prints the word. */
function said(paths: Layout, { name }: DevProcess, child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = () => {
      const message = `the namespaces of ${name} cannot be set up${tail(paths, name)}`;
      reject(new MegrezError({ code: 'INTERNAL', reason: 'HOLDER_FAILED', object: name, message }));
    };
    const heard = (chunk: Buffer) => {
      if (chunk.toString().includes(word)) {
        child.stdout?.off('data', heard);
        child.off('close', failed);
        resolve();
      }
    };
    child.stdout?.on('data', heard);
    child.on('close', failed);
    // A script that died before it read: `close` tells.
    child.stdin?.on('error', () => {});
  });
}
