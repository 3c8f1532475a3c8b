// Committed files that a program writes: the proto bindings, what reflection answers, and the row codecs.
import { join } from 'node:path';
import { dist, node, root } from './paths.mjs';
import { setup } from './setup.mjs';
import { must, step } from './step.mjs';

/** Bindings of the protos of others that one package speaks; its buf.gen.yaml says `out: src/gen`. */
const bindings = (name) => ({
  directory: `packages/${name}/src/gen`,
  write: (base) =>
    must('buf', ['generate', '--output', join(base, 'packages', name)], { cwd: join(root, 'packages', name) }),
});

/** Each writes its `directory` below any base: the checkout, or a temporary directory to compare with. */
export const generators = {
  proto: {
    directory: 'packages/model/src/gen',
    // buf prepends --output to the plugin's own `out`, ../packages/model/src/gen.
    write: (base) => must('buf', ['generate', '--output', join(base, 'proto')], { cwd: join(root, 'proto') }),
  },
  store: bindings('store'),
  controller: {
    ...bindings('controller'),
    write: async (base) => {
      await bindings('controller').write(base);
      const script = join(root, 'packages/controller/scripts/descriptors.mjs');
      await must(node, [script, join(base, generators.controller.directory)]);
    },
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
