/** A packet table: every row is one packet, the rows of its host, and all that must come of it. */
import type { ProgramWord, VerdictWord } from '@megrez/abi';
import type { Row } from '@megrez/plan';
import { expect, test } from 'vitest';
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

export const runTable = (program: ProgramWord, cases: readonly Case[]): void => {
  test.each(cases)('$verdict: $name', async (one) => {
    const datapath = await openDatapath();
    try {
      await steadyWindow();
      datapath.put(one.rows());
      const input = one.packet();
      const outcome = await datapath.run(program, input);
      expect([outcome.verdict, outcome.action]).toEqual([one.verdict, one.action]);
      if (one.expected) expect(outcome.packet.toString('hex')).toBe(one.expected().toString('hex'));
      one.after?.(datapath);
    } finally {
      datapath.close();
    }
  });
};
