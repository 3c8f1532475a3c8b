/** A short run of `npm run fuzz` with a seed of its own; failures print as packet-table rows. */
import { expect, test } from 'vitest';
import { fuzz } from './fuzz';
import { objectPath } from './paths';
import { printFailure } from './print';

const seed = 20_261_121;

test('programs and model agree', async () => {
  const report = await fuzz({ object: objectPath, seed, cases: 40_000, seconds: 15 });
  const rows = report.failures.map((failure) => printFailure(failure, `seed ${seed}, world ${failure.world_index}`));
  expect(rows.join('\n\n')).toBe('');
  expect(report.lost).toEqual([]);
  expect(report.cases).toBeGreaterThan(1_000);
  // Not one corner of the datapath: every program, and most verdicts.
  expect(report.verdicts.size).toBeGreaterThan(60);
});
