/** usage: main.ts [--check] OBJECT DIRECTORY: writes the codecs of OBJECT's maps there, or tells whether they differ. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAbi } from './btf.ts';
import { emit } from './emit.ts';

const args = process.argv.slice(2);
const check = args[0] === '--check';
const [object, directory] = check ? args.slice(1) : args;
if (object === undefined || directory === undefined) {
  process.stderr.write('usage: main.ts [--check] OBJECT DIRECTORY\n');
  process.exit(2);
}

const files = Object.entries(emit(readAbi(object))).map(([name, text]) => ({ path: join(directory, name), text }));
const current = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
if (check) {
  const stale = files.filter(({ path, text }) => current(path) !== text);
  for (const { path } of stale) process.stderr.write(`${path} differs from ${object}; run: npm run generate\n`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  mkdirSync(directory, { recursive: true });
  // A file that did not change keeps its time: the launcher compares it.
  for (const { path, text } of files) if (current(path) !== text) writeFileSync(path, text);
}
