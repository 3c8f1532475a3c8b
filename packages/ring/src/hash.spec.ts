import { readFileSync } from 'node:fs';
import { addressFromHex } from '@megrez/model';
import { expect, test } from 'vitest';
import { slotOf } from './index';

interface Vector {
  readonly vni: number;
  readonly address: string;
  readonly slot: number;
}

const vectors: readonly Vector[] = JSON.parse(readFileSync(new URL('../vectors.json', import.meta.url), 'utf8'));

test('there are 64 vectors', () => expect(vectors).toHaveLength(64));

test.each(vectors)('vni $vni, $address is in slot $slot', ({ vni, address, slot }) => {
  expect(slotOf(vni, addressFromHex(address))).toBe(slot);
});

test('a /20 fills all slots evenly', () => {
  const counts = Array.from({ length: 256 }, () => 0);
  for (let i = 0; i < 4096; i++) {
    const address = addressFromHex(`00000000000000000000ffff0a00${i.toString(16).padStart(4, '0')}`);
    const slot = slotOf(77, address);
    counts[slot] = (counts[slot] as number) + 1;
  }
  // 16 on average; six standard deviations are 24.
  expect(Math.min(...counts)).toBeGreaterThan(0);
  expect(Math.max(...counts)).toBeLessThan(40);
});
