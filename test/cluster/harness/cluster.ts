// A cluster of its own for a spec file: real etcd, controllers, agents and namespaces; nothing is left of it afterwards.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, connect } from '@megrez/client';
import {
  type DevSignal,
  type DevUpOptions,
  devDown,
  devSignal,
  devUp,
  execCommand,
  hostCommand,
  layout,
} from '@megrez/dev';
import type { CreateEndpointRequest, Endpoint, Subnet } from '@megrez/model';
import { must, type Output, type Running, run, start } from './command';

export type Where =
  | { readonly endpoint: Endpoint }
  | { readonly host: string }
  /** A network namespace by its path there. */
  | { readonly host: string; readonly netns: string }
  /** The namespace of the underlay's bridge, with a port named after each host. */
  | 'underlay';

export interface TestCluster {
  readonly dir: string;
  readonly server: string;
  readonly etcd: string;
  readonly hosts: ReadonlyMap<string, string>;
  readonly api: Client['provisioning'];
  readonly client: Client;
  /** Command line that runs a command there. */
  command(where: Where, command: readonly string[]): Promise<readonly string[]>;
  run(where: Where, command: readonly string[], input?: string): Promise<Output>;
  /** Output of a command that must succeed. */
  must(where: Where, command: readonly string[], input?: string): Promise<string>;
  start(where: Where, command: readonly string[]): Promise<Running>;
  signal(action: DevSignal, name: string): Promise<void>;
  /** Does the agent of this host, this controller, or etcd run? */
  isAlive(name: string): boolean;
  down(): Promise<void>;
}

/** Short leases: a test sees several of them in seconds. */
export const shortLeases = { soft_ms: 500, hard_ms: 1000 };
export const shortLeaseArguments = [
  ...['--soft-lease-ms', String(shortLeases.soft_ms)],
  ...['--hard-lease-ms', String(shortLeases.hard_ms)],
];

export const newDirectory = () => join(mkdtempSync(join(process.env.MEGREZ_TEST_DIR ?? '/run', 'mz')), 'dev');

export async function up(options: Omit<DevUpOptions, 'dir'> = {}): Promise<TestCluster> {
  const dir = newDirectory();
  const made = await devUp({ ...options, dir });
  const client = connect(made.server, { deadline_ms: 30_000 });
  const prefixes = new Map<string, readonly string[]>();
  const { id } = JSON.parse(readFileSync(layout(dir).state, 'utf8')) as { readonly id: string };
  const env = { ...process.env, MEGREZ_DEV_CLUSTER: id };
  /** What a failed test may leave running. */
  const started: Running[] = [];

  const prefixOf = async (where: Where): Promise<readonly string[]> => {
    if (where === 'underlay') {
      const pid = processOf(dir, 'underlay');
      return ['nsenter', '--mount', '--net', '--target', String(pid), '--wdns=/', '--'];
    }
    if ('host' in where) {
      const inside = 'netns' in where ? ['nsenter', `--net=${where.netns}`, '--'] : [];
      return hostCommand(where.host, inside, { dir });
    }
    const { vpc, subnet, name, host } = where.endpoint;
    const path = `${vpc}/${subnet}/${name}`;
    const key = `${path}@${host}`;
    const prefix = prefixes.get(key) ?? (await execCommand(path, [], { dir }));
    prefixes.set(key, prefix);
    return prefix;
  };
  const command = async (where: Where, words: readonly string[]) => [...(await prefixOf(where)), ...words];
  return {
    dir,
    server: made.server,
    etcd: made.etcd,
    hosts: new Map(made.hosts.map(({ name, address }) => [name, address])),
    api: client.provisioning,
    client,
    command,
    run: async (where, words, input) => run(await command(where, words), input, env),
    must: async (where, words, input) => must(await command(where, words), input, env),
    start: async (where, words) => {
      const running = start(await command(where, words), env);
      started.push(running);
      return running;
    },
    signal: (action, name) => devSignal(action, name, { dir }),
    isAlive: (name) => existsSync(`/proc/${processOf(dir, name)}`),
    down: async () => {
      if (!existsSync(dir)) {
        return;
      }
      for (const running of started) {
        running.kill();
      }
      client.close();
      await devDown({ dir });
      rmSync(join(dir, '..'), { recursive: true, force: true });
    },
  };
}

/** Pid of a process that dev has recorded. */
function processOf(dir: string, name: string): number {
  const text = readFileSync(join(layout(dir).processes, `${name}.json`), 'utf8');
  return (JSON.parse(text) as { readonly pid: number }).pid;
}

export async function createVpc(cluster: TestCluster, name: string, cidr = '10.0.0.0/16', dividers = 0) {
  return cluster.api.createVpc({ name, cidrs: [cidr], dividers, requestId: '' }).response;
}

export async function createSubnet(
  cluster: TestCluster,
  vpc: string,
  name: string,
  cidr: string,
  bouncerHosts: readonly string[],
): Promise<Subnet> {
  const bouncers = bouncerHosts.length;
  const request = { vpc, name, cidrs: [cidr], bouncers, bouncerHosts: [...bouncerHosts], requestId: '' };
  return cluster.api.createSubnet(request).response;
}

export const endpointRequest = (
  vpc: string,
  subnet: string,
  name: string,
  host: string,
  more: Partial<CreateEndpointRequest> = {},
): CreateEndpointRequest => ({
  vpc,
  subnet,
  name,
  host,
  ip: '',
  mac: '',
  attachment: { kind: { oneofKind: 'managed', managed: {} } },
  requestId: '',
  timeoutMs: 0,
  ...more,
});

export async function createEndpoint(
  cluster: TestCluster,
  ...request: Parameters<typeof endpointRequest>
): Promise<Endpoint> {
  return cluster.api.createEndpoint(endpointRequest(...request)).response;
}

/** Keeps the kernels of these namespaces from sending anything by themselves, so that what is counted was sent by a test. */
export async function quiet(cluster: TestCluster, ...endpoints: readonly Endpoint[]): Promise<void> {
  for (const endpoint of endpoints) {
    await cluster.must({ endpoint }, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6']);
  }
}

/** Paths of the programs of tools/, each compiled once per version of its source. */
export const probe = (): string => tool('probe');
export const tapGuest = (): string => tool('guest');
export const flowTool = (): string => tool('flow');
export const serveTool = (): string => tool('serve');

/** The checkout: a bundle of ours lies in its dist/. */
function checkout(directory = import.meta.dirname): string {
  return existsSync(join(directory, 'test/cluster/tools')) ? directory : checkout(join(directory, '..'));
}

function tool(name: string): string {
  const source = join(checkout(), `test/cluster/tools/${name}.c`);
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const directory = join(checkout(), '.cache/test');
  const program = join(directory, `${name}-${hash}`);
  if (!existsSync(program)) {
    mkdirSync(directory, { recursive: true });
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', `${program}.${process.pid}`, source]);
    renameSync(`${program}.${process.pid}`, program);
  }
  return program;
}
