import { expect, test } from 'vitest';
import { maskOf, wideLength } from './prefix';

test.each([
  [0, '00000000000000000000000000000000'],
  [1, '80000000000000000000000000000000'],
  [8, 'ff000000000000000000000000000000'],
  [116, 'fffffffffffffffffffffffffffff000'],
  [127, 'fffffffffffffffffffffffffffffffe'],
  [128, 'ffffffffffffffffffffffffffffffff'],
])('%i ones', (bits, hex) => {
  expect(Buffer.from(maskOf(bits)).toString('hex')).toBe(hex);
});

test('IPv4 prefixes count behind the 96 bits that map them', () => {
  expect(wideLength({ length: 24, family: 4 })).toBe(120);
  expect(wideLength({ length: 64, family: 6 })).toBe(64);
});
