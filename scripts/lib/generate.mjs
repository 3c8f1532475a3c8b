// Committed files that a program writes: the proto bindings and the row codecs.
import { join } from 'node:path';
import { dist, node, root } from './paths.mjs';
import { setup } from './setup.mjs';
import { must, step } from './step.mjs';

/** Each writes its `directory` below any base: the checkout, or a temporary directory to compare with. */
export const generators = {
  proto: {
    directory: 'packages/model/src/gen',
    // buf prepends --output to the plugin's own `out`, ../packages/model/src/gen.
    write: (base) => must('buf', ['generate', '--output', join(base, 'proto')], { cwd: join(root, 'proto') }),
  },
  abi: {
    directory: 'packages/abi/src/gen',
    write: (base) => {
      const script = join(root, 'packages/abi/generate/main.ts');
      return must(node, [script, join(dist, 'bpf/megrez.bpf.o'), join(base, generators.abi.directory)]);
    },
  },
};

export async function generate() {
  await setup();
  for (const { directory, write } of Object.values(generators)) {
    await step(`generate ${directory}`, () => write(root));
  }
}
