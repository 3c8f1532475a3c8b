// What a cluster consists of, before any of it runs: pure.
import { agentSocket, agentState, controllerSocket, type Layout } from './layout';

export interface DevHost {
  readonly name: string;
  /** Underlay address. */
  readonly address: string;
}

/** Every process of one cluster is started with these once; `restart` uses them again. */
export interface Cluster {
  readonly version: 1;
  /** Random; every process carries it in its environment. */
  readonly id: string;
  /** Of the machine: after a reboot no process of the file is ours. */
  readonly boot_id: string;
  /** The bundle that is the `megrez` program. */
  readonly program: string;
  /** Where Node keeps compiled code. */
  readonly compile_cache: string;
  /** Of the first controller; empty until it listens. */
  readonly server: string;
  /** Client URL; empty until it serves. */
  readonly etcd: string;
  readonly hosts: readonly DevHost[];
  readonly controllers: readonly string[];
  readonly underlay_mtu: number;
}

export const underlayPrefix = '192.168.240.0/20';
const firstHost = 11;
export function planHosts(count: number): readonly DevHost[] {
  return Array.from({ length: count }, (_, i) => {
    const number = firstHost + i;
    return { name: `h${i + 1}`, address: `192.168.${240 + (number >> 8)}.${number & 255}` };
  });
}

export const planControllers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `controller-${i + 1}`);

export function etcdArguments(data: string, client: string, peer: string): readonly string[] {
  return [
    ...['--name', 'dev', '--data-dir', data, '--logger', 'zap', '--log-outputs', 'stderr', '--log-level', 'warn'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `dev=${peer}`],
  ];
}

export function controllerArguments(paths: Layout, name: string, address: string, etcd: string): readonly string[] {
  const unix = `unix:${controllerSocket(paths, name)}`;
  return ['controller', '--listen', address, '--listen', unix, '--etcd', etcd, '--underlay-prefix', underlayPrefix];
}

export function agentArguments(paths: Layout, controllers: readonly string[], host: DevHost): readonly string[] {
  const servers = controllers.flatMap((name) => ['--server', `unix:${controllerSocket(paths, name)}`]);
  return [
    ...['agent', '--host', host.name, '--address', host.address, '--nic', 'eth0', ...servers],
    ...['--bpffs', '/sys/fs/bpf', '--state', agentState(paths, host.name)],
    ...['--metrics', `unix:${agentSocket(paths, host.name)}`],
  ];
}
