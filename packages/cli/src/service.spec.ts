import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** Services as processes of their own: what they do with signals cannot be seen from inside. */
const directory = mkdtempSync(join(tmpdir(), 'megrez-service-'));

beforeAll(async () => {
  const source = (close: string): string =>
    `import { untilStopped } from './service';
     setInterval(() => {}, 1_000); // Something that is left open.
     const stopped = untilStopped(${close});
     console.log('up');
     await stopped;
     console.log('closed');`;
  for (const [name, close] of [
    ['prompt', 'async () => {}'],
    ['stuck', "() => new Promise(() => console.log('closing'))"],
  ] as const) {
    await build({
      stdin: { contents: source(close), resolveDir: import.meta.dirname, loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: join(directory, `${name}.mjs`),
    });
  }
});

afterAll(() => rmSync(directory, { recursive: true }));

const start = async (name: string) => {
  const child = spawn(process.execPath, [join(directory, `${name}.mjs`)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null, output }));
  await once(child.stdout, 'data');
  return { child, ended };
};

test('a signal, and its echo, close the service; it ends although something is left open', async () => {
  const { child, ended } = await start('prompt');
  child.kill('SIGTERM');
  child.kill('SIGINT');
  expect(await ended).toEqual({ code: 0, output: 'up\nclosed\n' });
});

test('who asks again does not wait for a close that never ends', async () => {
  const { child, ended } = await start('stuck');
  child.kill('SIGINT');
  const again = setInterval(() => child.kill('SIGINT'), 300);
  expect(await ended).toEqual({ code: 1, output: 'up\nclosing\n' });
  clearInterval(again);
});
