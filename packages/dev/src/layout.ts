import { join } from 'node:path';

/** The directory that `megrez dev` uses unless it is told otherwise. */
export const defaultDirectory = '/run/megrez/dev';

export function directoryOf(dir: string | undefined): string {
  return dir ?? (process.env.MEGREZ_DEV_DIR || defaultDirectory);
}

/** Where everything of one cluster is. Nothing lies outside of its directory. */
export interface Layout {
  readonly dir: string;
  /** The cluster itself; its presence claims the directory. */
  readonly state: string;
  /** One address line for MEGREZ_SERVER. */
  readonly server: string;
  readonly logs: string;
  /** One file per process. */
  readonly processes: string;
  readonly etcd: string;
  /** Unix sockets; visible in every host. */
  readonly sockets: string;
  /** Mount points of the hosts' own tmpfs. */
  readonly hosts: string;
}

export function layout(dir: string): Layout {
  return {
    dir,
    state: join(dir, 'state.json'),
    server: join(dir, 'server'),
    logs: join(dir, 'logs'),
    processes: join(dir, 'processes'),
    etcd: join(dir, 'etcd'),
    sockets: join(dir, 'sockets'),
    hosts: join(dir, 'hosts'),
  };
}

export const logOf = (paths: Layout, name: string) => join(paths.logs, `${name}.log`);

export const controllerSocket = (paths: Layout, name: string) => join(paths.sockets, `${name}.sock`);

/** The agent's metrics and health. */
export const agentSocket = (paths: Layout, host: string) => join(paths.sockets, `${host}.sock`);

/** The agent's state; only inside the host's mount namespace. */
export const agentState = (paths: Layout, host: string) => join(paths.hosts, host);

/** Where an agent keeps the namespace of an endpoint that it made; only inside the host's mount namespace. */
export const endpointNamespace = (
  paths: Layout,
  host: string,
  { vpc, subnet, name }: { readonly vpc: string; readonly subnet: string; readonly name: string },
) => join(agentState(paths, host), 'netns', `${vpc}.${subnet}.${name}`);
