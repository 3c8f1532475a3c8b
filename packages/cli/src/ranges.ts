import { InvalidArgumentError } from 'commander';

/** 0, 1, 2, 7 -> `0-2,7`; whatever the order. */
export const formatRanges = (numbers: readonly number[]): string => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const runs: { first: number; last: number }[] = [];
  for (const number of sorted) {
    const run = runs.at(-1);
    if (run !== undefined && number <= run.last + 1) run.last = number;
    else runs.push({ first: number, last: number });
  }
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
};

const lastSlot = 255;

/** `7`, `0-15`, `0-15,32` -> slot numbers. */
export const parseSlots = (text: string): readonly number[] =>
  text.split(',').flatMap((part) => {
    const match = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last > lastSlot || first > last) {
      throw new InvalidArgumentError(`Write slots from 0 to ${lastSlot}, e.g. 7, 0-15 or 0-15,32.`);
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
