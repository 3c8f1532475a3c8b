import { expect, test } from 'vitest';
import { counterIndex, decodePerCpu, isDrop, maps, programWords, Verdict, verdictWord, verdictWords } from '.';

test('words are the names of abi.h', () => {
  expect(verdictWords).toContain('spoofed_ip');
  expect(verdictWords).not.toContain('drop');
  expect(verdictWords).not.toContain('count');
  expect(verdictWords.length).toBe(Verdict.count - 1);
  expect(programWords).toEqual(['endpoint', 'nic', 'bouncer', 'tunnel']);
  for (const word of verdictWords) expect(verdictWord(Verdict[word])).toBe(word);
  expect(verdictWord(Verdict.count)).toBeUndefined();
});

test('drops begin behind their mark', () => {
  expect(isDrop('direct')).toBe(false);
  expect(isDrop('spoofed_ip')).toBe(true);
});

test('every counter has a row of its own', () => {
  const indices = programWords.flatMap((program) => verdictWords.map((verdict) => counterIndex(program, verdict)));
  expect(new Set(indices).size).toBe(indices.length);
  expect(Math.max(...indices)).toBeLessThan(maps.counters.max_entries);
});

test('per-CPU values', () => {
  const { encode } = maps.counters.value;
  const buffer = Buffer.concat([encode({ packets: 1n, bytes: 60n }), encode({ packets: 2n, bytes: 120n })]);
  expect(decodePerCpu(maps.counters.value, buffer)).toEqual([
    { packets: 1n, bytes: 60n },
    { packets: 2n, bytes: 120n },
  ]);
  expect(() => decodePerCpu(maps.counters.value, buffer.subarray(0, 20))).toThrow(RangeError);
});
