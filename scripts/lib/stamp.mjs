// What was built from what: a stamp holds the hash of the inputs of a finished step.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cache, root } from './paths.mjs';

const skipped = new Set(['node_modules', 'dist', '.git', '.cache', 'build', 'coverage']);

/** Every file below `directory` (absolute) whose path passes `wanted`, sorted. */
export function files(directory, wanted = () => true) {
  const found = [];
  if (!existsSync(directory)) {
    return found;
  }
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && !skipped.has(entry.name)) {
      found.push(...files(path, wanted));
    } else if (entry.isFile() && wanted(path)) {
      found.push(path);
    }
  }
  return found.sort();
}

/** Hash of the files' names and contents, and of `more`. */
export function hash(paths, more = '') {
  const digest = createHash('sha256').update(more);
  for (const path of paths) {
    digest.update(`\0${relative(root, path)}\0`).update(readFileSync(path));
  }
  return digest.digest('hex');
}

const file = (name) => join(cache, 'stamps', name);

/** Is the step `name` done for these inputs, and are its outputs still there? */
export function isDone(name, inputs, outputs) {
  return (
    existsSync(file(name)) && readFileSync(file(name), 'utf8') === inputs && outputs.every((path) => existsSync(path))
  );
}

export function done(name, inputs) {
  mkdirSync(join(cache, 'stamps'), { recursive: true });
  writeFileSync(file(name), inputs);
}
