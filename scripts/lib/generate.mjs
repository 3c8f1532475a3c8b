// Committed files that a program writes: the proto bindings and the row codecs.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { setup } from './setup.mjs';
import { must, step } from './step.mjs';

/** What is generated: `directory` holds the result, `write` makes it anew there. */
export function generators() {
  const abi = join(root, 'packages/abi');
  const script = JSON.parse(readFileSync(join(abi, 'package.json'), 'utf8')).scripts?.generate;
  return [
    {
      name: 'proto bindings',
      directory: 'packages/model/src/gen',
      write: () => must('buf', ['generate'], { cwd: join(root, 'proto') }),
    },
    ...(script && existsSync(abi)
      ? [{ name: 'row codecs', directory: 'packages/abi/src', write: () => must('sh', ['-c', script], { cwd: abi }) }]
      : []),
  ];
}

export async function generate() {
  await setup();
  for (const { name, directory, write } of generators()) {
    await step(`${name} → ${directory}`, write);
  }
}
