import { expect, test } from 'vitest';
import { parseMetrics } from './metrics';
import { median } from './narrate';

test('samples with and without labels, escapes in labels, comments skipped', () => {
  const text = [
    '# HELP up whether it is',
    'up 1',
    'packets_total{program="bouncer",verdict="answered"} 2 1700000000000',
    'odd{text="a \\"b\\", c=d"} 1.5e3',
    '',
  ].join('\n');
  expect(parseMetrics(text)).toEqual([
    { name: 'up', labels: {}, value: 1 },
    { name: 'packets_total', labels: { program: 'bouncer', verdict: 'answered' }, value: 2 },
    { name: 'odd', labels: { text: 'a \\"b\\", c=d' }, value: 1500 },
  ]);
});

test('the median of an even number of values lies between the two in the middle', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
