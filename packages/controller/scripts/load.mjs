// Bundles and runs src/testing/load.ts: `node scripts/load.mjs [creations]`.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const testing = join(root, 'src/testing');
// Below node_modules' reach, so that esbuild itself is found.
const dir = mkdtempSync(join(root, 'node_modules/.load-'));
try {
  const outfile = join(dir, 'load.mjs');
  await build({
    entryPoints: [join(testing, 'load.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['esbuild'],
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    define: { 'import.meta.dirname': JSON.stringify(testing) },
    logLevel: 'error',
  });
  execFileSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: 'inherit' });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
