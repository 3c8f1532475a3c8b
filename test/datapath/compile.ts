/** BPF programs of the tests' own, compiled where they are needed. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Compiles `source`, a file beside this one, into the object `output`. */
export const compile = (source: string, output: string): void => {
  const include = `/usr/include/${execFileSync('gcc', ['-dumpmachine']).toString().trim()}`;
  const path = fileURLToPath(new URL(source, import.meta.url));
  execFileSync('clang', ['-O2', '-g', '-Wall', '-Werror', '-target', 'bpf', '-I', include, '-c', path, '-o', output]);
};
