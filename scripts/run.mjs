// The one entry behind `npm run setup|demo|test|bench|fuzz|chaos|check|generate`. Plain JavaScript without dependencies, so that it
// runs on a fresh machine's own Node (18 or newer); what it sets up runs on the Node that package.json pins.

import { check } from './lib/check.mjs';
import { generate } from './lib/generate.mjs';
import { bench, chaos, demo, fuzz } from './lib/programs.mjs';
import { setup } from './lib/setup.mjs';
import { fail, UserError } from './lib/step.mjs';
import { test } from './lib/test.mjs';

const commands = { setup, demo, test, bench, fuzz, chaos, check, generate };

const [name = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
if (!command) {
  fail(`usage: node scripts/run.mjs ${Object.keys(commands).join('|')}`);
}
try {
  process.exitCode = (await command(args)) ?? 0;
} catch (error) {
  if (!(error instanceof UserError)) {
    throw error;
  }
  fail(error.message);
}
