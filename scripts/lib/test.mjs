// `npm test`: setup, every vitest project, and the plain count as the last line.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { requireRoot } from './machine.mjs';
import { cache, dist, node, root } from './paths.mjs';
import { setup } from './setup.mjs';
import { files } from './stamp.mjs';
import { foreground, run } from './step.mjs';

/** The line that ends every run: `3 passed, 0 failed` and, when there are any, `, 1 skipped`. */
export const summary = ({ passed, failed, skipped = 0 }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

/** Counts of vitest's JSON report; a file that could not even be collected is one failure. */
export function count(report, exitCode) {
  const skipped = report.numPendingTests + report.numTodoTests;
  const uncollected = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const failed = report.numFailedTests + uncollected.length;
  // An error outside every test (a leaked promise, a lost worker) fails the run without failing a test.
  return { passed: report.numPassedTests, failed: failed === 0 && exitCode !== 0 ? 1 : failed, skipped };
}

/** Ends the clusters that a killed test run left behind, wherever below `clusters` they are. */
async function removeLeftovers(clusters) {
  for (const state of files(clusters, (path) => path.endsWith('/state.json'))) {
    await run(node, [join(dist, 'megrez.mjs'), 'dev', 'down', '--dir', dirname(state)]);
  }
  rmSync(clusters, { recursive: true, force: true });
}

export async function test(args) {
  requireRoot('npm test');
  await setup();
  const clusters = mkdtempSync('/run/megrez-test-');
  const output = join(cache, `vitest-${process.pid}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${output}`];
  let counts = { passed: 0, failed: 1, skipped: 0 };
  let code = 1;
  try {
    const env = { MEGREZ_TEST_DIR: clusters };
    code = await foreground(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...reporters, ...args], {
      env,
    });
    if (existsSync(output)) {
      counts = count(JSON.parse(readFileSync(output, 'utf8')), code);
    }
  } finally {
    rmSync(output, { force: true });
    await removeLeftovers(clusters);
  }
  process.stdout.write(`${summary(counts)}\n`);
  return counts.failed > 0 ? code || 1 : code;
}
