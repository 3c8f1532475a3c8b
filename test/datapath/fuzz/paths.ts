/** Files of the checkout, from the source here or from a bundle in dist/. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const inCheckout = (path: string): string => {
  const found = ['../', '../../../']
    .map((up) => fileURLToPath(new URL(up + path, import.meta.url)))
    .find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`${path} is not in this checkout; npm run setup builds what is in dist/`);
  return found;
};

export const objectPath = inCheckout('dist/bpf/megrez.bpf.o');
export const executorSource = inCheckout('test/datapath/fuzz/executor.c');
export const bpfDirectory = inCheckout('bpf');
