import { Command } from 'commander';
import { expect, test } from 'vitest';
import { duration, several, whole } from './arguments';

test.each([
  ['10s', 10_000],
  ['500ms', 500],
  ['2m', 120_000],
  ['1.5s', 1_500],
])('%s is %i ms', (text, ms) => expect(duration(text)).toBe(ms));

test.each(['', '10', 's', '-1s', '0s', '1h', '10 s', '1e3ms', '100000m'])("'%s' is no duration", (text) => {
  expect(() => duration(text)).toThrow('with its unit');
});

test.each(['1', '64'])('%s is whole', (text) => expect(whole(1, 64)(text)).toBe(Number(text)));
test.each(['0', '65', '1.5', '-1', 'x', '', '1e1', '0x10'])("'%s' is not", (text) => {
  expect(() => whole(1, 64)(text)).toThrow('from 1 to 64');
});

test('several: repeated, with commas, or from the environment', () => {
  const parse = (argv: readonly string[]): unknown =>
    new Command()
      .addOption(several('--etcd <url>', 'endpoint').env('MEGREZ_TEST_SEVERAL'))
      .parse(argv, { from: 'user' })
      .opts().etcd;
  expect(parse([])).toBeUndefined();
  expect(parse(['--etcd', 'a', '--etcd', 'b,c'])).toEqual(['a', 'b', 'c']);
  process.env.MEGREZ_TEST_SEVERAL = 'd,e';
  try {
    expect(parse([])).toEqual(['d', 'e']);
    expect(parse(['--etcd', 'a', '--etcd', 'b'])).toEqual(['a', 'b']);
  } finally {
    delete process.env.MEGREZ_TEST_SEVERAL;
  }
});
