// dist/: BPF objects, the kernel addon and the bundles.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { bundle } from './bundle.mjs';
import { lockedInputs } from './install.mjs';
import { dist, node, root } from './paths.mjs';
import { done, files, hash, isDone } from './stamp.mjs';
import { must, step } from './step.mjs';

/** Arguments of clang for BPF, but for the input and what to do with it. */
export async function clangArguments() {
  const machine = (await must('gcc', ['-dumpmachine'])).trim();
  return ['-O2', '-g', '-Wall', '-Wextra', '-Werror', '-target', 'bpf', '-mcpu=v3', `-I/usr/include/${machine}`];
}

async function buildBpf() {
  const sources = files(join(root, 'bpf'), (path) => /\.[ch]$/.test(path));
  const entries = sources.filter((path) => path.endsWith('.bpf.c'));
  const output = (path) => join(dist, 'bpf', basename(path).replace(/\.c$/, '.o'));
  const inputs = hash([...sources, new URL(import.meta.url).pathname]);
  if (isDone('bpf', inputs, entries.map(output))) {
    return;
  }
  await step(`bpf: ${entries.map((path) => basename(path)).join(' ')}`, async () => {
    mkdirSync(join(dist, 'bpf'), { recursive: true });
    const flags = await clangArguments();
    for (const path of entries) {
      const unfinished = `${output(path)}.${process.pid}`;
      await must('clang', [...flags, '-c', path, '-o', unfinished]);
      renameSync(unfinished, output(path));
    }
  });
  done('bpf', inputs);
}

async function buildAddon() {
  const home = join(root, 'packages/kernel');
  const script = join(home, 'build.mjs');
  if (!existsSync(script)) {
    return;
  }
  const inputs = hash(files(home, (path) => !path.endsWith('.ts')));
  if (isDone('addon', inputs, [join(dist, 'kernel.node')])) {
    return;
  }
  mkdirSync(dist, { recursive: true });
  await step('addon: kernel.node', () => must(node, [script, '--force']));
  done('addon', inputs);
}

/** Programs of dist/ by their name there. */
const entries = {
  megrez: 'packages/cli/src/main.ts',
  demo: 'packages/dev/src/demo/main.ts',
  bench: 'test/bench/src/main.ts',
  fuzz: 'test/datapath/fuzz/main.ts',
  chaos: 'test/cluster/chaos/main.ts',
};

async function buildBundles() {
  const points = Object.entries(entries).filter(([, path]) => existsSync(join(root, path)));
  const shipped = (path) => /\.(ts|json)$/.test(path) && !path.endsWith('.spec.ts');
  const sources = ['packages', 'test/bench', 'test/datapath', 'test/cluster'].flatMap((path) =>
    files(join(root, path), shipped),
  );
  const own = files(dirname(new URL(import.meta.url).pathname), (path) => /\/(build|bundle)\.mjs$/.test(path));
  const inputs = hash([...sources, ...own], lockedInputs());
  const outputs = points.map(([name]) => join(dist, `${name}.mjs`));
  if (points.length === 0 || isDone('bundles', inputs, outputs)) {
    return;
  }
  await step(`bundles: ${points.map(([name]) => `${name}.mjs`).join(' ')}`, async () => {
    const written = await bundle(Object.fromEntries(points.map(([name, path]) => [name, join(root, path)])));
    // A running program may still load a chunk of the build before this one.
    const hourAgo = Date.now() - 3_600_000;
    for (const name of readdirSync(dist)) {
      if (/\.mjs(\.map)?$/.test(name) && !written.has(name) && statSync(join(dist, name)).mtimeMs < hourAgo) {
        rmSync(join(dist, name));
      }
    }
  });
  done('bundles', inputs);
}

export async function build() {
  await buildBpf();
  await buildAddon();
  await buildBundles();
}

/** Tells the launcher that dist/ is as new as the sources were at `startedAt` (it compares modification times). */
export function markFresh(startedAt) {
  const marker = join(dist, '.fresh');
  mkdirSync(dist, { recursive: true });
  writeFileSync(marker, '');
  utimesSync(marker, startedAt, startedAt);
}
