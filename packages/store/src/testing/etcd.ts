/** A private etcd process: its own directory and loopback ports, gone with its test however that ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface EtcdOptions {
  /** Data directory that outlives this etcd; a temporary one, removed on `close`, when absent. */
  readonly dir?: string;
  readonly port?: number;
  /** Further flags of etcd. */
  readonly flags?: readonly string[];
}

export interface Etcd {
  /** `http://127.0.0.1:port`, the same for its whole life. */
  readonly endpoint: string;
  readonly pid: number;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: the kernel still accepts connections, nobody answers. */
  stop(): void;
  /** SIGCONT. */
  cont(): void;
  /** Kills it when it runs, starts it again on its data and port, and waits until it serves. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const startDeadline_ms = 15_000;
const attempts = 5;

const runs = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const findBinary = (): string => {
  const fromEnvironment = process.env.MEGREZ_ETCD;
  if (fromEnvironment !== undefined && fromEnvironment !== '') return fromEnvironment;
  const cached = join(import.meta.dirname, '../../../../.cache/etcd/usr/bin/etcd');
  return runs(cached) ? cached : 'etcd';
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

const exited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

const gone = (child: ChildProcess): Promise<void> =>
  exited(child) ? Promise.resolve() : new Promise((resolve) => void child.once('exit', () => resolve()));

const serves = async (endpoint: string): Promise<boolean> => {
  try {
    const response = await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(1_000) });
    return ((await response.json()) as { health?: string }).health === 'true';
  } catch {
    return false;
  }
};

const launch = async (endpoint: string, dataDir: string, flags: readonly string[]): Promise<ChildProcess> => {
  const peer = `http://127.0.0.1:${await freePort()}`;
  const etcd = [
    findBinary(),
    ...['--name=test', `--data-dir=${dataDir}`, '--logger=zap', '--log-level=error'],
    ...[`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=test=${peer}`],
    // A member alone need not wait long for an election; the shortest lease follows from this, too (1 s).
    ...['--heartbeat-interval=10', '--election-timeout=100'],
    ...flags,
  ];
  // Dies with this process even when that is killed (PR_SET_PDEATHSIG survives the exec).
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...etcd], { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    complaints = (complaints + bytes.toString()).slice(-2_000);
  });
  child.once('error', (error) => {
    complaints = error.message;
  });
  const deadline = Date.now() + startDeadline_ms;
  while (!(await serves(endpoint))) {
    if (child.pid === undefined || exited(child) || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`etcd (${findBinary()}) did not start: ${complaints}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
};

/** Ready when it resolves. Its binary is MEGREZ_ETCD, else the one that the setup put in `.cache`, else that in PATH. */
export const startEtcd = async ({ dir, port, flags = [] }: EtcdOptions = {}): Promise<Etcd> => {
  const base = dir ?? mkdtempSync(join(tmpdir(), 'megrez-etcd-'));
  const dataDir = join(base, 'data');
  let endpoint = '';
  let child: ChildProcess | undefined;
  for (let attempt = 1; child === undefined; attempt++) {
    endpoint = `http://127.0.0.1:${port ?? (await freePort())}`;
    try {
      child = await launch(endpoint, dataDir, flags);
    } catch (error) {
      // Somebody else may have taken the port that was free a moment ago.
      if (attempt === attempts || port !== undefined) {
        if (dir === undefined) rmSync(base, { recursive: true, force: true });
        throw error;
      }
    }
  }
  let running: ChildProcess = child;
  const atExit = (): void => {
    running.kill('SIGKILL');
    if (dir === undefined) rmSync(base, { recursive: true, force: true });
  };
  process.once('exit', atExit);
  const kill = async (): Promise<void> => {
    running.kill('SIGKILL');
    await gone(running);
  };
  return {
    endpoint,
    get pid() {
      return running.pid as number;
    },
    kill,
    stop: () => void running.kill('SIGSTOP'),
    cont: () => void running.kill('SIGCONT'),
    restart: async () => {
      await kill();
      running = await launch(endpoint, dataDir, flags);
    },
    close: async () => {
      await kill();
      process.removeListener('exit', atExit);
      if (dir === undefined) rmSync(base, { recursive: true, force: true });
    },
  };
};
