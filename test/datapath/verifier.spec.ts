/**
 * The verifier gate: every program loads, and costs the verifier no more than recorded. After a change that is worth
 * its instructions, record anew with MEGREZ_RECORD=1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { programWords } from '@megrez/abi';
import { loadObject } from '@megrez/kernel';
import { expect, test } from 'vitest';
import { objectPath } from './datapath';

const record = new URL('verifier.json', import.meta.url);
const limit = 20_000;

test('verified instructions stay within a tenth of the record', async () => {
  const object = await loadObject(objectPath);
  const measured = Object.fromEntries(
    programWords.map((name) => [name, object.program(name).info().verifiedInstructions]),
  );
  object.close();
  if (process.env.MEGREZ_RECORD) writeFileSync(record, `${JSON.stringify(measured, null, 2)}\n`);
  const recorded = JSON.parse(readFileSync(record, 'utf8')) as Record<string, number>;
  for (const name of programWords) {
    expect(measured[name], `${name}: recorded ${recorded[name]}`).toBeLessThanOrEqual((recorded[name] ?? 0) * 1.1);
    expect(measured[name], `${name}: more than any program may cost`).toBeLessThanOrEqual(limit);
  }
});
