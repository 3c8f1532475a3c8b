import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MegrezError } from '@megrez/model';
import type { UnderlayObjects } from './underlay';

/** What a dev cluster runs. */
export interface Program {
  /** The bundle dist/megrez.mjs. */
  readonly program: string;
  readonly etcd: string;
  /** Programs of the underlay's ports. */
  readonly ports: UnderlayObjects;
  /** Where Node may keep compiled code, so that the next process starts faster. */
  readonly compile_cache: string;
}

/** Finds the megrez bundle (the given one, the one we are part of, or the checkout's) and the etcd that setup unpacked. */
export function findProgram(given?: string): Program {
  const program = given ?? above(import.meta.dirname, ['megrez.mjs', 'dist/megrez.mjs']);
  if (!program || !existsSync(program)) {
    throw missing(program ?? 'dist/megrez.mjs', 'the megrez bundle');
  }
  const etcd =
    above(import.meta.dirname, ['.cache/etcd/usr/bin/etcd']) ??
    ['/usr/bin/etcd', '/usr/local/bin/etcd'].find((path) => existsSync(path));
  if (!etcd) {
    throw missing('.cache/etcd/usr/bin/etcd', 'etcd');
  }
  const ports = { pass: findObject('pass'), switch: findObject('switch') };
  return { program, etcd, ports, compile_cache: join(dirname(dirname(program)), '.cache/compile') };
}

/** The object of bpf/NAME.bpf.c. */
function findObject(name: string): string {
  const path = above(import.meta.dirname, [`bpf/${name}.bpf.o`, `dist/bpf/${name}.bpf.o`]);
  if (!path) {
    throw missing(`dist/bpf/${name}.bpf.o`, 'a program of underlay ports');
  }
  return path;
}

/** The first of the names that exists in a directory or one above it. */
function above(directory: string, names: readonly string[]): string | undefined {
  const found = names.map((name) => join(directory, name)).find((path) => existsSync(path));
  return found ?? (directory === '/' ? undefined : above(dirname(directory), names));
}

const missing = (path: string, what: string) =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'NOT_SET_UP',
    object: path,
    message: `${path} (${what}) is missing. Run: npm run setup`,
  });
