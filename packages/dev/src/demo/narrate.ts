// What the demo prints: numbered steps, facts below them, each checked before it is told.

/** A fact that turned out otherwise. */
export class NotAsTold extends Error {}

export interface Narrator {
  /** Begins a step. */
  step(title: string): void;
  /** Tells a fact; when it does not hold, the demo ends here. */
  told(fact: string, holds?: boolean): void;
}

export function narrator(write: (text: string) => void, color: boolean): Narrator {
  let steps = 0;
  const paint = (code: number, text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  return {
    step(title) {
      steps += 1;
      write(`\n${paint(1, `${steps}. ${title}`)}\n`);
    },
    told(fact, holds = true) {
      write(`   ${holds ? paint(32, '✓') : paint(31, '✗')} ${fact}\n`);
      if (!holds) {
        throw new NotAsTold(`not as told: ${fact}`);
      }
    },
  };
}

/** 12.3 for numbers that people compare. */
export const round = (value: number, digits = 1) => value.toFixed(digits);

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
