// SPDX-License-Identifier: Apache-2.0
// Builds the addon into <repository>/dist/kernel.node when a source is newer than it. Plain Node, no dependencies.
// Needs cc, libbpf-dev and libnl-route-3-dev. Usage: node packages/kernel/build.mjs [--force]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const native = join(here, 'native');
const headers = join(root, 'node_modules', 'node-api-headers', 'include');
const output = join(root, 'dist', 'kernel.node');

const sources = readdirSync(native).filter((name) => /\.[ch]$/.test(name));
const inputs = [...sources.map((name) => join(native, name)), fileURLToPath(import.meta.url)];
const fresh = existsSync(output) && inputs.every((input) => statSync(input).mtimeMs <= statSync(output).mtimeMs);

const run = (command, args, stdio) => {
  const { status, error, stdout } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', stdio, 'inherit'] });
  if (status === 0) return stdout;
  console.error(error ? `${command}: ${error.message}` : `${command} failed (${status})`);
  console.error('The addon needs cc, pkg-config, libbpf-dev and libnl-route-3-dev.');
  process.exit(1);
};

const pkgConfig = (...args) =>
  run('pkg-config', [...args, 'libnl-route-3.0', 'libbpf'], 'pipe')
    .trim()
    .split(/\s+/);

if (!fresh || process.argv.includes('--force')) {
  mkdirSync(dirname(output), { recursive: true });
  // Written beside and renamed, so that two builds at once and a process that has the old one mapped are both safe.
  const partial = `${output}.${process.pid}`;
  const flags = (process.env.MEGREZ_KERNEL_CFLAGS ?? '-O2').split(/\s+/);
  const args = [
    ...flags,
    ...['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared', '-fvisibility=hidden'],
    ...['-isystem', headers, ...pkgConfig('--cflags')],
    ...['-o', partial, ...sources.filter((name) => name.endsWith('.c')).map((name) => join(native, name))],
    ...[...pkgConfig('--libs'), '-lpthread'],
  ];
  run('cc', args, 'inherit');
  renameSync(partial, output);
}
