// A short slice of `npm run chaos`, always the same; another one by hand: MEGREZ_TEST_SEED=2.
import { expect, test } from 'vitest';
import { chaos } from './chaos/run';

const seed = Number(process.env.MEGREZ_TEST_SEED ?? 1);
const rounds = 5;

test(`changes and faults of seed ${seed} under traffic: nothing lost that may not be`, async () => {
  const timeline: string[] = [];
  const report = await chaos({ seed, duration_ms: 240_000, rounds, say: (line) => timeline.push(line) });
  expect(report.faults, `seed ${seed}:\n${timeline.join('\n')}`).toEqual([]);
  expect(report.rounds).toBe(rounds);
  expect(report.traffic.account.sent).toBeGreaterThan(1000);
  expect(report.moved.sent).toBeGreaterThan(1000);
}, 400_000);
