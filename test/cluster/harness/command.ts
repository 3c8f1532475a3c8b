// Programs in namespaces: started, fed by stdin, ended by closing it, their output collected.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs while a test does something else. */
export interface Running {
  /** Resolves when the program has printed a line that is the word; throws when it ended without. */
  said(word: string): Promise<void>;
  /** Resolves when it has printed something more; throws when it ended. */
  heard(): Promise<void>;
  /** What it printed so far. */
  output(): string;
  write(text: string): void;
  /** Closes stdin, which the programs of tools/ take as the order to report, and waits for the end. */
  finish(): Promise<Output>;
  kill(): void;
}

export function start(command: readonly string[], env: NodeJS.ProcessEnv = process.env): Running {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // A program that ended before it read everything: its output tells.
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').then(([code]: (number | null)[]) => {
    return { code: code ?? 1, stdout, stderr };
  });
  ended.catch(() => {});
  return {
    said: async (word) => {
      const lines = () => stdout.split('\n').slice(0, -1);
      let isOver = false;
      void ended.finally(() => {
        isOver = true;
      });
      while (!lines().includes(word)) {
        if (isOver) {
          throw new Error(`${command.join(' ')} ended without "${word}": ${stdout}${stderr}`);
        }
        await Promise.race([once(child.stdout, 'data'), ended]);
      }
    },
    heard: async () => {
      const over = ended.then(() => {
        throw new Error(`${command.join(' ')} ended: ${stdout}${stderr}`);
      });
      await Promise.race([once(child.stdout, 'data'), over]);
    },
    output: () => stdout,
    write: (text) => void child.stdin.write(text),
    finish: () => {
      child.stdin.end();
      return ended;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

/** Runs a command to its end, whatever its exit code. */
export function run(command: readonly string[], input = '', env?: NodeJS.ProcessEnv): Promise<Output> {
  const process = start(command, env);
  process.write(input);
  return process.finish();
}

/** Runs a command that must succeed and returns what it printed. */
export async function must(command: readonly string[], input = '', env?: NodeJS.ProcessEnv): Promise<string> {
  const { code, stdout, stderr } = await run(command, input, env);
  if (code !== 0) {
    throw new Error(`${command.join(' ')} ended with ${code}: ${stderr}${stdout}`);
  }
  return stdout;
}
