// What the machine must be, and what it gets from apt.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { cache } from './paths.mjs';
import { must, step, UserError } from './step.mjs';

const packages = (
  'clang llvm libbpf-dev libnl-3-dev libnl-route-3-dev pkg-config gcc libc6-dev ' +
  'bpftool iproute2 ethtool iperf3 iputils-ping util-linux procps ca-certificates'
).split(' ');

export const etcd = join(cache, 'etcd/usr/bin/etcd');

const offline =
  'Is the network up? Setup needs the Debian mirror of this machine and the npm registry, the first time.';

export function checkMachine() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new UserError(`Megrez needs Linux on x86_64; this is ${process.platform} on ${process.arch}.`);
  }
  const [major = 0, minor = 0] = os
    .release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  if (major < 6 || (major === 6 && minor < 6)) {
    throw new UserError(`Megrez needs Linux 6.6 or newer (tcx links); this is ${os.release()}.`);
  }
}

export function requireRoot(what) {
  if (process.getuid() !== 0) {
    throw new UserError(`${what} needs root. Try: sudo npm run ${process.env.npm_lifecycle_event ?? 'setup'}`);
  }
}

function missingPackages() {
  const query = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...packages], {
    encoding: 'utf8',
  });
  if (query.error) {
    throw new UserError('dpkg-query cannot be started: setup knows Debian 12 (and its relatives) only.');
  }
  const installed = new Set(
    query.stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return packages.filter((name) => !installed.has(name));
}

/** Waits for another apt or dpkg instead of failing beside it. */
const apt = (...args) =>
  must('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=600', '-o', 'Acquire::Retries=3', ...args], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    hint: offline,
  });

let updated = false;
async function update() {
  if (!updated) {
    await step('apt: package lists', () => apt('update'));
    updated = true;
  }
}

export async function installPackages() {
  const missing = missingPackages();
  if (missing.length === 0) {
    return;
  }
  requireRoot(`Installing ${missing.join(' ')}`);
  await update();
  await step(`apt: ${missing.join(' ')}`, () => apt('install', '-y', '--no-install-recommends', ...missing));
}

/** etcd is unpacked, not installed: an installed etcd-server would start a service that nobody asked for. */
export async function unpackEtcd() {
  if (existsSync(etcd)) {
    return;
  }
  const work = join(cache, `etcd.${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    if (spawnSync('apt-cache', ['show', 'etcd-server'], { stdio: 'ignore' }).status !== 0) {
      requireRoot('Fetching the package lists');
      await update();
    }
    await step('etcd: download and unpack into .cache/etcd', async () => {
      const options = ['-qq', '-o', 'Acquire::Retries=3', '-o', 'APT::Sandbox::User=root', 'download', 'etcd-server'];
      await must('apt-get', options, { cwd: work, hint: offline });
      const archive = readdirSync(work).find((name) => name.endsWith('.deb'));
      if (!archive) {
        throw new UserError('apt-get download etcd-server left no package behind.');
      }
      await must('dpkg-deb', ['-x', archive, 'etcd'], { cwd: work });
      rmSync(join(cache, 'etcd'), { recursive: true, force: true });
      renameSync(join(work, 'etcd'), join(cache, 'etcd'));
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
