import { type ChildProcess, spawn } from 'node:child_process';

export type Command = readonly string[];

export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves with stdout when the program ends by itself without failure; rejects otherwise. */
  readonly done: Promise<string>;
  /** Kills it and waits for its end. */
  stop(): Promise<void>;
}

/** Starts a program; it ends with us, also when we are killed. */
export function start([program = '', ...args]: Command, signal: AbortSignal, input = ''): Running {
  signal.throwIfAborted();
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: 'pipe' });
  const out: Buffer[] = [];
  const error: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => error.push(chunk));
  child.stdin.on('error', () => {});
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  const done = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killed) => {
      signal.removeEventListener('abort', kill);
      const text = Buffer.concat(out).toString();
      const said = `${Buffer.concat(error).toString()}${text}`.trim();
      if (code === 0) resolve(text);
      else reject(new Error(`${[program, ...args].join(' ')}: ${killed ?? `exit code ${code}`}: ${said}`));
    });
  });
  done.catch(() => {});
  if (input !== '') child.stdin.end(input);
  return {
    pid: child.pid ?? 0,
    child,
    done,
    stop: async () => {
      kill();
      await done.catch(() => {});
    },
  };
}

/** Runs a program to its end and returns its stdout. */
export async function run(command: Command, signal: AbortSignal, input = ''): Promise<string> {
  const { child, done } = start(command, signal, input);
  child.stdin?.end();
  return done;
}

/** Resolves when the program has printed a line. */
export function line({ child, done }: Running): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const heard = (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end < 0) return;
      child.stdout?.off('data', heard);
      resolve(text.slice(0, end));
    };
    child.stdout?.on('data', heard);
    done.then(() => reject(new Error('the program ended without a line')), reject);
  });
}
