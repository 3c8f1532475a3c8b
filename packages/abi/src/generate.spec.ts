import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'megrez-abi-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const check = (gen: string): number | null =>
  spawnSync(process.execPath, [at('../generate/main.ts'), '--check', at('../../../dist/bpf/megrez.bpf.o'), gen]).status;

test('the committed codecs are what the object says, and a change is noticed', () => {
  expect(check(at('gen'))).toBe(0);
  cpSync(at('gen'), directory, { recursive: true });
  const path = join(directory, 'structs.ts');
  writeFileSync(path, readFileSync(path, 'utf8').replace('offset + 4', 'offset + 8'));
  expect(check(directory)).toBe(1);
});
