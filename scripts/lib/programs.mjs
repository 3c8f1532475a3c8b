import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { requireRoot } from './machine.mjs';
import { dist, node } from './paths.mjs';
import { setup } from './setup.mjs';
import { foreground, UserError } from './step.mjs';

async function program(name, args) {
  requireRoot(`npm run ${name}`);
  await setup();
  const path = join(dist, `${name}.mjs`);
  if (!existsSync(path)) {
    throw new UserError(`${path} has not been built: its source is not in this checkout.`);
  }
  return foreground(node, ['--enable-source-maps', path, ...args]);
}

/** One VPC on three hosts, told step by step. */
export const demo = (args) => program('demo', args);

/** Measures Megrez against the kernel's bridge and VXLAN. */
export const bench = (args) => program('bench', args);

/** Generated packets through the datapath's programs and through its model. */
export const fuzz = (args) => program('fuzz', args);

/** Changes and faults at random under traffic, all of it from one seed. */
export const chaos = (args) => program('chaos', args);
