// esbuild, with code splitting: `megrez vpc list` must not pay for loading the controller.
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { dist, node } from './paths.mjs';
import { files } from './stamp.mjs';
import { must, UserError } from './step.mjs';

const banner = [
  "import { createRequire as megrezCreateRequire } from 'node:module';",
  'const require = megrezCreateRequire(import.meta.url);',
  "const megrezVendor = import.meta.dirname + '/vendor';",
].join('\n');

function packageOf(path) {
  for (let home = dirname(path); home !== '/'; home = dirname(home)) {
    const manifest = join(home, 'package.json');
    const parsed = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : {};
    if (parsed.name && parsed.version) {
      return { home, name: `${parsed.name}@${parsed.version}`.replaceAll('/', '+') };
    }
  }
  throw new UserError(`no package.json above ${path}`);
}

/** Some dependencies read .proto files beside their source: these go to dist/vendor, and their `__dirname` points there. */
const vendor = {
  name: 'vendor',
  setup(build) {
    const copied = new Set();
    build.onLoad({ filter: /\/node_modules\/.*\.c?js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      if (!/\b__dirname\b/.test(source)) {
        return undefined;
      }
      const { home, name } = packageOf(path);
      for (const proto of copied.has(home) ? [] : files(home, (file) => file.endsWith('.proto'))) {
        const target = join(dist, 'vendor', name, relative(home, proto));
        mkdirSync(dirname(target), { recursive: true });
        copyFileSync(proto, target);
      }
      copied.add(home);
      const place = join('/', name, relative(home, dirname(path)));
      return { contents: `var __dirname = megrezVendor + ${JSON.stringify(place)};${source}`, loader: 'js' };
    });
  },
};

/**
 * Bundles programs into dist/NAME.mjs and chunks beside them.
 * @param {Record<string, string>} entryPoints name → source
 * @returns {Promise<Set<string>>} names of the files of this build
 */
export async function bundle(entryPoints) {
  const { build, formatMessages } = await import('esbuild');
  const result = await build({
    entryPoints,
    outdir: dist,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunk-[hash]',
    sourcemap: true,
    sourcesContent: false,
    banner: { js: banner },
    external: ['*.node'],
    plugins: [vendor],
    write: false,
    logLevel: 'silent',
  }).catch(async (error) => {
    const messages = await formatMessages(error.errors ?? [], { kind: 'error' });
    throw new UserError(messages.length > 0 ? messages.join('').trimEnd() : String(error));
  });
  mkdirSync(dist, { recursive: true });
  // Chunks first and each by rename, so that a program started meanwhile finds a whole build.
  const isEntry = (path) => basename(path).split('.')[0] in entryPoints;
  const ordered = [...result.outputFiles].sort((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)));
  for (const { path, contents } of ordered) {
    writeFileSync(`${path}.${process.pid}`, contents);
    renameSync(`${path}.${process.pid}`, path);
  }
  for (const name of Object.keys(entryPoints)) {
    await must(node, ['--check', join(dist, `${name}.mjs`)]);
  }
  return new Set(ordered.map(({ path }) => basename(path)));
}
