import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type MapName, maps } from '@megrez/abi';
import { build } from 'esbuild';
import type { AgentOptions } from '../options';

const run = promisify(execFile);
const dist = fileURLToPath(new URL('../../../../dist', import.meta.url));

/**
 * As agents are started: most of what they allocate is garbage at once, and a large nursery is memory that stays, as is
 * what every thread that collects keeps for itself.
 */
const agentFlags = ['--max-semi-space-size=1', '--single-threaded-gc'];

/** What CommonJS dependencies expect to find. */
const banner = [
  "import { createRequire as specRequire } from 'node:module';",
  'const require = specRequire(import.meta.url);',
  'const __dirname = import.meta.dirname;',
].join('\n');

/** Bundles the agent as it is in the source now; beside the addon and the BPF object, where it looks for them. */
export const bundleAgent = async (): Promise<{ readonly path: string; remove(): void }> => {
  const path = join(dist, `agent-spec-${process.pid}.mjs`);
  await build({
    entryPoints: [fileURLToPath(new URL('./main.ts', import.meta.url))],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: { js: banner },
    logLevel: 'error',
  });
  return { path, remove: () => rmSync(path, { force: true }) };
};

/**
 * A host: network and mount namespaces of its own with a bpffs, an underlay interface `eth0` (192.0.2.1/24) whose far end
 * (192.0.2.2, .3) is another namespace. All of it goes with its processes.
 */
export interface TestHost {
  readonly directory: string;
  readonly state: string;
  start(server: string, more?: Partial<AgentOptions>): void;
  /** Ends the agent as a power cut would. */
  kill(): Promise<void>;
  /** Runs a command on the host. */
  exec(command: string, ...args: readonly string[]): Promise<string>;
  /** Runs a command at the far end of the underlay. */
  far(command: string, ...args: readonly string[]): Promise<string>;
  /** Runs a command in the namespace that the agent made for an endpoint of acme/web. */
  inside(endpoint: string, command: string, ...args: readonly string[]): Promise<string>;
  /** Decoded entries of a pinned map. */
  map<M extends MapName>(name: M): Promise<readonly { readonly key: Key<M>; readonly value: Value<M> }[]>;
  metrics(path?: string): Promise<{ readonly status: number; readonly body: string }>;
  readonly agent: ChildProcess | undefined;
  /** The promise, unless the agent ends first. */
  alive<T>(promise: Promise<T>): Promise<T>;
  log(): string;
  close(): Promise<void>;
}

type Key<M extends MapName> = ReturnType<(typeof maps)[M]['key']['decode']>;
type Value<M extends MapName> = ReturnType<(typeof maps)[M]['value']['decode']>;

const holder = (script: string, args: readonly string[] = []): ChildProcess =>
  spawn('unshare', ['--net', '--mount', '--propagation', 'private', '--', 'sh', '-euc', script, 'holder', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

const ready = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the holder ended with ${code}`)));
  });

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => {
        child.once('exit', () => resolve());
      });

const bytes = (hex: readonly string[]): Buffer => Buffer.from(hex.map((byte) => Number(byte)));

export const startHost = async (bundle: string): Promise<TestHost> => {
  const directory = mkdtempSync(join(tmpdir(), 'mza-'));
  const state = join(directory, 'state');
  mkdirSync(state);
  const logPath = join(directory, 'log');
  const far = holder('echo ready; exec sleep infinity');
  await ready(far);
  const host = holder(
    `mount -t sysfs sysfs /sys
     mount -t bpf bpf /sys/fs/bpf
     mount -t tmpfs tmpfs "$2"
     ip link set lo up
     ip link add eth0 type veth peer name far netns "$1"
     ip address add 192.0.2.1/24 dev eth0
     ip link set eth0 up
     echo ready; exec sleep infinity`,
    [String(far.pid), state],
  );
  await ready(host);
  execFileSync('nsenter', [
    ...['--net', '--target', String(far.pid), '--', 'sh', '-euc'],
    'ip link set far up; ip address add 192.0.2.2/24 dev far; ip address add 192.0.2.3/24 dev far',
  ]);
  const enter = ['--net', '--mount', '--target', String(host.pid), '--'];
  const exec = async (command: string, ...args: readonly string[]): Promise<string> =>
    (await run('nsenter', [...enter, command, ...args], { maxBuffer: 1 << 28 })).stdout;
  let agent: ChildProcess | undefined;

  const kill = async (): Promise<void> => {
    if (agent === undefined) return;
    agent.kill('SIGKILL');
    await ended(agent);
    agent = undefined;
  };

  return {
    directory,
    state,
    exec,
    kill,
    far: async (command, ...args) =>
      (await run('nsenter', ['--net', '--target', String(far.pid), '--', command, ...args])).stdout,
    get agent() {
      return agent;
    },
    start: (server, more = {}) => {
      const options: AgentOptions = {
        host: 'h1',
        address: '192.0.2.1',
        nic: 'eth0',
        servers: [server],
        bpffs: '/sys/fs/bpf',
        state,
        metrics: `unix:${join(directory, 'metrics')}`,
        ...more,
      };
      const command = ['nsenter', ...enter, process.execPath, ...agentFlags, bundle, JSON.stringify(options)];
      agent = spawn('sh', ['-c', 'exec "$@" >>"$0" 2>&1', logPath, ...command], { stdio: 'ignore' });
    },
    inside: (endpoint, command, ...args) =>
      exec('nsenter', `--net=${join(state, 'netns', `acme.web.${endpoint}`)}`, command, ...args),
    map: async (name) => {
      const dump = await exec('bpftool', '-j', 'map', 'dump', 'pinned', `/sys/fs/bpf/megrez/${name}`);
      const rows = JSON.parse(dump) as { key: string[]; value?: string[]; values?: { value: string[] }[] }[];
      return rows.map(({ key, value, values }) => ({
        key: maps[name].key.decode(bytes(key)) as Key<typeof name>,
        value: maps[name].value.decode(bytes(value ?? values?.[0]?.value ?? [])) as Value<typeof name>,
      }));
    },
    metrics: (path = '/metrics') =>
      new Promise((resolve, reject) => {
        const call = request({ socketPath: join(directory, 'metrics'), path }, (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => {
            body += chunk.toString();
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        });
        call.on('error', reject);
        call.end();
      }),
    alive: (promise) => {
      const running = agent;
      if (running === undefined) throw new Error('no agent runs');
      const died = ended(running).then(() => {
        throw new Error(`the agent ended: ${readFileSync(logPath, 'utf8').slice(-4_000)}`);
      });
      return Promise.race([promise, died]);
    },
    log: () => readFileSync(logPath, 'utf8'),
    close: async () => {
      await kill();
      for (const child of [host, far]) {
        child.kill('SIGKILL');
        await ended(child);
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
