import { expect, test } from 'vitest';
import { requireKernel } from './kernel-version';

test.each(['6.6.0', '6.6', '6.12.48+deb13-amd64', '7.0.0-rc1', '10.1.2'])('%s is new enough', (release) => {
  expect(() => requireKernel('h1', release)).not.toThrow();
});

test.each(['6.5.13', '6.1.0-40-amd64', '5.15.0', 'unknown', ''])('%s is not', (release) => {
  expect(() => requireKernel('h1', release)).toThrow(
    expect.objectContaining({
      code: 'FAILED_PRECONDITION',
      reason: 'KERNEL_TOO_OLD',
      object: 'host h1',
      message: expect.stringMatching(new RegExp(`${release}.*6\\.6 or newer`)) as string,
    }),
  );
});
