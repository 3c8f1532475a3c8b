/** The slot function in C against the vectors that packages/ring is tested with. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadObject } from '@megrez/kernel';
import { expect, test } from 'vitest';
import { compile } from './compile';

const vectors = JSON.parse(
  readFileSync(new URL('../../packages/ring/vectors.json', import.meta.url), 'utf8'),
) as readonly { vni: number; address: string; slot: number }[];

test('every vector', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'megrez-slot-'));
  try {
    const output = join(dir, 'slot.bpf.o');
    compile('slot.bpf.c', output);
    const object = await loadObject(output);
    expect(vectors.length).toBeGreaterThanOrEqual(64);
    for (const { vni, address, slot } of vectors) {
      const data = Buffer.alloc(64);
      data.writeUInt32LE(vni, 0);
      data.write(address, 4, 'hex');
      const { retval } = await object.program('slot').testRun({ data });
      expect({ vni, address, slot: retval }).toEqual({ vni, address, slot });
    }
    object.close();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
