/** A packet table: every row is one packet, the rows of its host, and all that must come of it. */
import type { ProgramWord, VerdictWord } from '@megrez/abi';
import type { Row } from '@megrez/plan';
import { describe, expect, test } from 'vitest';
import { steadyWindow } from './cookie';
import { type Datapath, openDatapath } from './datapath';

export interface Case {
  readonly name: string;
  readonly rows: () => readonly Row[];
  readonly packet: () => Buffer;
  readonly verdict: VerdictWord;
  readonly action: string;
  /** The whole packet afterwards; absent for drops, which leave it to the kernel to free. */
  readonly expected?: () => Buffer;
  /** What else is true afterwards. */
  readonly after?: (datapath: Datapath) => void;
}

export const runTable = (program: ProgramWord, title: string, cases: readonly Case[]): void => {
  // oxlint-disable-next-line vitest/valid-title -- every table has its own
  describe(title, () => {
    // oxlint-disable-next-line vitest/expect-expect -- runCase asserts
    test.each(cases)('$verdict: $name', (one) => runCase(program, one));
  });
};

const runCase = async (program: ProgramWord, one: Case): Promise<void> => {
  const datapath = await openDatapath();
  try {
    await steadyWindow();
    datapath.put(one.rows());
    const outcome = await datapath.run(program, one.packet());
    expect([outcome.verdict, outcome.action]).toEqual([one.verdict, one.action]);
    if (one.expected) expect(outcome.packet.toString('hex')).toBe(one.expected().toString('hex'));
    one.after?.(datapath);
  } finally {
    datapath.close();
  }
};
