import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const cache = join(root, '.cache');
export const dist = join(root, 'dist');
export const bin = join(root, 'node_modules/.bin');
/** The Node that package.json pins; everything after the install runs with it. */
export const node = join(bin, 'node');
