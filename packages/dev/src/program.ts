import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MegrezError } from '@megrez/model';

/** What a dev cluster runs. */
export interface Program {
  /** The bundle dist/megrez.mjs. */
  readonly program: string;
  readonly etcd: string;
  /** The object of bpf/pass.bpf.c. */
  readonly pass: string;
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
  const pass = above(import.meta.dirname, ['bpf/pass.bpf.o', 'dist/bpf/pass.bpf.o']);
  if (!pass) {
    throw missing('dist/bpf/pass.bpf.o', 'the program of underlay ports');
  }
  return { program, etcd, pass, compile_cache: join(dirname(dirname(program)), '.cache/compile') };
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
