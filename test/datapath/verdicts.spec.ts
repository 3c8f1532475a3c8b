/** Every verdict has a packet that gets it. */
import { readdirSync, readFileSync } from 'node:fs';
import { verdictWords } from '@megrez/abi';
import { expect, test } from 'vitest';

test('every verdict stands in a packet table', () => {
  const tables = readdirSync(new URL('.', import.meta.url))
    .filter((name) => name.endsWith('.spec.ts') && name !== 'verdicts.spec.ts')
    .map((name) => readFileSync(new URL(name, import.meta.url), 'utf8'))
    .join('\n');
  expect(verdictWords.filter((word) => !tables.includes(`verdict: '${word}'`))).toEqual([]);
});
