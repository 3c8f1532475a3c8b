import { build, markFresh } from './build.mjs';
import { installDependencies } from './install.mjs';
import { locked } from './lock.mjs';
import { checkMachine, installPackages, unpackEtcd } from './machine.mjs';

/** What apt and npm give, without our own build. */
export async function prepare() {
  checkMachine();
  await locked(prepareLocked);
}

async function prepareLocked() {
  await installPackages();
  await unpackEtcd();
  await installDependencies();
}

/** Everything a checkout needs, from the machine's packages to dist/; quick when nothing changed. */
export async function setup() {
  const started = performance.now();
  checkMachine();
  await locked(async () => {
    const startedAt = new Date();
    await prepareLocked();
    await build();
    markFresh(startedAt);
  });
  process.stderr.write(`  setup: everything is in place (${((performance.now() - started) / 1000).toFixed(1)} s)\n`);
}
