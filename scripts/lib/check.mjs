// `npm run check`: everything that can be said about the sources without running them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join, relative } from 'node:path';
import { clangArguments } from './build.mjs';
import { generators } from './generate.mjs';
import { root } from './paths.mjs';
import { prepare, setup } from './setup.mjs';
import { files } from './stamp.mjs';
import { must, step, UserError } from './step.mjs';
import { summary } from './test.mjs';

/** Every BPF header says itself what it needs: it compiles alone. */
async function headersAlone() {
  const flags = await clangArguments();
  for (const header of files(join(root, 'bpf'), (path) => path.endsWith('.h'))) {
    const quiet = ['-Wno-unused-function', '-Wno-unused-variable', '-Wno-pragma-once-outside-header'];
    await must('clang', [...flags, ...quiet, '-x', 'c', '-fsyntax-only', header]);
  }
}

const contents = (directory) =>
  new Map(files(directory).map((path) => [relative(directory, path), readFileSync(path, 'utf8')]));

/** Names that differ between two directories' contents. */
export function differences(before, after) {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .sort();
}

/** Generates into a temporary directory and compares with what is committed. */
async function drift({ directory, write }) {
  const temporary = mkdtempSync(join(os.tmpdir(), 'megrez-generated-'));
  try {
    await write(temporary);
    const changed = differences(contents(join(root, directory)), contents(join(temporary, directory)));
    if (changed.length > 0) {
      const names = changed.map((name) => join(directory, name)).join(' ');
      throw new UserError(`${names}: not what the generator writes; run: npm run generate`);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

const checks = {
  build: setup,
  'biome (format, lint)': () => must('biome', ['ci', '--colors=off', '--max-diagnostics=50', '.']),
  'oxlint (type-aware)': () => must('oxlint', ['--type-aware', '--deny-warnings']),
  tsc: () => must('tsc', ['-p', root, '--pretty', 'false']),
  'knip (unused files, exports, dependencies)': () => must('knip', ['--no-progress', '--no-config-hints']),
  'buf lint': () => must('buf', ['lint'], { cwd: join(root, 'proto') }),
  'proto bindings are what the protos say': () => drift(generators.proto),
  'etcd bindings are what its protos say': () => drift(generators.store),
  'reflection answers what the protos say': () => drift(generators.controller),
  'row codecs are what bpf/abi.h says': () => drift(generators.abi),
  'bpf headers compile alone': headersAlone,
};

/** Runs every check, also after a failure. With arguments: those whose name starts with one of them. */
export async function check(args) {
  await prepare();
  const chosen = Object.entries(checks).filter(
    ([name]) => args.length === 0 || args.some((arg) => name.startsWith(arg)),
  );
  const failures = [];
  for (const [name, work] of chosen) {
    try {
      // The build prints steps of its own.
      await (work === setup ? setup() : step(name, work));
    } catch (error) {
      if (!(error instanceof UserError)) {
        throw error;
      }
      failures.push(error.message);
      process.stderr.write(`${error.message}\n`);
    }
  }
  process.stdout.write(`${summary({ passed: chosen.length - failures.length, failed: failures.length })}\n`);
  return failures.length > 0 ? 1 : 0;
}
