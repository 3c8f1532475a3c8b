// Progress for people, on stderr: one line per step, with the seconds it took.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { bin, cache, root } from './paths.mjs';

/** Something the user can act on: printed without a stack. */
export class UserError extends Error {}

/** @returns {never} */
export function fail(message) {
  process.stderr.write(`megrez: ${message}\n`);
  process.exit(1);
}

export const environment = { ...process.env, PATH: `${bin}:${process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin'}` };

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Runs `work` and prints `title … 1.2 s`. */
export async function step(title, work) {
  const started = performance.now();
  process.stderr.write(`  ${title} … `);
  try {
    const result = await work();
    process.stderr.write(`${seconds(started)}\n`);
    return result;
  } catch (error) {
    process.stderr.write(`failed after ${seconds(started)}\n`);
    throw error;
  }
}

/**
 * Runs a program to its end, quietly.
 * @returns {Promise<{code: number, output: string}>} stdout and stderr together
 */
export function run(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => reject(new UserError(`${command} cannot be started: ${error.message}`)));
    child.on('close', (code) =>
      resolve({ code: code ?? 1, output: stripVTControlCharacters(Buffer.concat(chunks).toString()) }),
    );
  });
}

/** Like `run`, but a failure is a UserError that shows the end of the output and where the rest is. */
export async function must(command, args, { hint = () => '', ...options } = {}) {
  const { code, output } = await run(command, args, options);
  if (code === 0) {
    return output;
  }
  const log = join(cache, 'log', `${command.split('/').at(-1)}.log`);
  mkdirSync(join(cache, 'log'), { recursive: true });
  writeFileSync(log, output);
  const tail = output.trimEnd().split('\n').slice(-60).join('\n');
  const said = [command, ...args].join(' ').slice(0, 200);
  throw new UserError(`${said} failed (${code}); all it said is in ${log}\n${tail}\n${hint(output)}`.trimEnd());
}

/**
 * Runs a program in the foreground: it shares our terminal, and Ctrl-C is its to handle.
 * @returns {Promise<number>} its exit code
 */
export function foreground(command, args, { env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...environment, ...env }, stdio: 'inherit' });
    // The terminal sends SIGINT to the whole group; a TERM or HUP to us alone is handed on.
    const pass = (signal) => child.kill(signal);
    const ignore = () => {};
    process.on('SIGINT', ignore);
    process.on('SIGTERM', pass);
    process.on('SIGHUP', pass);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', pass);
      process.off('SIGHUP', pass);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}
