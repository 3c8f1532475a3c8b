import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { type Endpoint, MegrezError } from '@megrez/model';
import { getEndpoint } from './api';
import { holderOf } from './holder';
import { isAlive } from './identity';
import { directoryOf, endpointNamespace, type Layout } from './layout';
import { clusterVariable, readProcess } from './processes';
import { mustReadCluster } from './state';

export interface DevExecOptions {
  readonly dir?: string;
}

/**
 * Runs a command in an endpoint's network namespace, with our stdio.
 * @param endpoint vpc/subnet/name
 * @returns the command's exit code; 128 + its number for a signal
 */
export async function devExec(endpoint: string, command: readonly string[], options: DevExecOptions = {}) {
  return run(await execCommand(endpoint, command, options), options);
}

/** Runs a command in the namespaces of a host, with our stdio. Returns its exit code, like `devExec`. */
export async function devHost(host: string, command: readonly string[], options: DevExecOptions = {}) {
  return run(hostCommand(host, command, options), options);
}

/** The command line that runs `command` in an endpoint's network namespace. */
export async function execCommand(
  endpoint: string,
  command: readonly string[],
  { dir }: DevExecOptions = {},
): Promise<readonly string[]> {
  const { paths, cluster } = mustReadCluster(directoryOf(dir));
  const [vpc, subnet, name, ...rest] = endpoint.split('/');
  if (!vpc || !subnet || !name || rest.length > 0) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'BAD_NAME',
      object: endpoint,
      message: `An endpoint is named vpc/subnet/endpoint, for example acme/web/a; got ${endpoint}.`,
    });
  }
  const found = await getEndpoint(cluster.server, { vpc, subnet, name });
  const file = namespaceFile(paths, found);
  return inHost(paths, found.host, ['nsenter', `--net=${file}`, '--', ...command]);
}

/** The command line that runs `command` in a host's namespaces. */
export function hostCommand(host: string, command: readonly string[], { dir }: DevExecOptions = {}): readonly string[] {
  return inHost(mustReadCluster(directoryOf(dir)).paths, host, command);
}

function inHost(paths: Layout, host: string, command: readonly string[]): readonly string[] {
  const holder = readProcess(paths, holderOf(host));
  if (!holder || !isAlive(holder)) {
    throw new MegrezError({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_HOST',
      object: `host ${host}`,
      message: `There is no host ${host} in the dev cluster of ${paths.dir}.`,
    });
  }
  return ['nsenter', '--mount', '--net', '--target', String(holder.pid), `--wdns=${process.cwd()}`, '--', ...command];
}

export function namespaceFile(paths: Layout, { vpc, subnet, name, host, attachment }: Endpoint): string {
  const kind = attachment?.kind;
  if (kind?.oneofKind === 'netns') {
    return kind.netns.path;
  }
  if (kind?.oneofKind === 'tap' || kind?.oneofKind === 'none') {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'NO_NAMESPACE',
      object: `endpoint ${vpc}/${subnet}/${name}`,
      message: `Endpoint ${vpc}/${subnet}/${name} has no network namespace; try: megrez dev host ${host} -- COMMAND`,
    });
  }
  return endpointNamespace(paths, host, { vpc, subnet, name });
}

function run(command: readonly string[], { dir }: DevExecOptions): Promise<number> {
  const { cluster } = mustReadCluster(directoryOf(dir));
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, [clusterVariable]: cluster.id } });
  // Ctrl-C reaches the command from the terminal; what is sent to us alone is handed on.
  const ignore = () => {};
  const pass = (name: NodeJS.Signals) => void child.kill(name);
  process.on('SIGINT', ignore).on('SIGTERM', pass).on('SIGHUP', pass);
  return new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, name) => resolve(code ?? 128 + (name ? constants.signals[name] : 0)));
  }).finally(() => process.off('SIGINT', ignore).off('SIGTERM', pass).off('SIGHUP', pass));
}
