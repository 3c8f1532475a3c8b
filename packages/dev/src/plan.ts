// What a cluster consists of, before any of it runs: pure.
import { agentSocket, agentState, controllerSocket, type Layout } from './layout';

export const underlays = ['bridge', 'routed', 'direct'] as const;
/**
 * What is between the hosts: the kernel's bridge; a router, with a subnet of its own for every host; or a switch of a few
 * BPF instructions, where the underlay is to cost as little as can be.
 */
export type Underlay = (typeof underlays)[number];

export interface DevHost {
  readonly name: string;
  /** Underlay address. */
  readonly address: string;
  /** Length of its prefix. */
  readonly prefix_bits: number;
  /** The router, where there is one. */
  readonly gateway?: string;
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
  readonly underlay: Underlay;
  readonly underlay_mtu: number;
}

export const underlayPrefix = '192.168.240.0/20';
const prefix_bits = 20;
const firstHost = 11;
/** A subnet with room for a host and its gateway; the prefix has more of them than hosts are allowed. */
const routed_bits = 30;

/** The nth address of the prefix. */
const nth = (n: number) => `192.168.${240 + (n >> 8)}.${n & 255}`;

export function planHosts(count: number, underlay: Underlay = 'bridge'): readonly DevHost[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `h${i + 1}`;
    if (underlay === 'routed') {
      const network = (i + 1) << (32 - routed_bits);
      return { name, address: nth(network + 2), prefix_bits: routed_bits, gateway: nth(network + 1) };
    }
    return { name, address: nth(firstHost + i), prefix_bits };
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
