import { Program, type ProgramName, Verdict, type VerdictName } from './gen/enums';

/** Verdicts a packet can get: without the marks of the enum. */
export type VerdictWord = Exclude<VerdictName, 'drop' | 'count'>;
export type ProgramWord = Exclude<ProgramName, 'count'>;

/** In the order of their numbers. The words are the same in C, metrics, CLI and tests. */
export const verdictWords: readonly VerdictWord[] = Object.keys(Verdict).filter(
  (name): name is VerdictWord => name !== 'drop' && name !== 'count',
);

export const programWords: readonly ProgramWord[] = Object.keys(Program).filter(
  (name): name is ProgramWord => name !== 'count',
);

const byNumber = new Map<number, VerdictWord>(verdictWords.map((word) => [Verdict[word], word]));

/** `undefined` for a number that is no verdict (a row of a newer datapath). */
export const verdictWord = (verdict: number): VerdictWord | undefined => byNumber.get(verdict);

/** Was the packet dropped for the reason named? */
export const isDrop = (verdict: VerdictWord): boolean => Verdict[verdict] > Verdict.drop;

/** Key of `counters`. */
export const counterIndex = (program: ProgramWord, verdict: VerdictWord): number =>
  Program[program] * Verdict.count + Verdict[verdict];
