import { median } from './statistics';

/** What is printed as one line. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** Every value measured, in order; the median is reported. */
  readonly megrez: readonly number[];
  /** Of bridge + VXLAN, where it can be compared. */
  readonly vxlan?: readonly number[];
  /** The same between the hosts themselves, without any overlay: what neither can go below or above. */
  readonly bare?: number;
  /** What is to be reached: of the ratio when there is a rival, else of megrez's own median. */
  readonly target?: { readonly is: 'at least' | 'at most'; readonly value: number };
}

export interface Line {
  readonly name: string;
  readonly unit: string;
  readonly megrez: number;
  readonly vxlan?: number;
  readonly ratio?: number;
  readonly bare?: number;
  readonly target?: string;
  readonly reached?: boolean;
  readonly values: { readonly megrez: readonly number[]; readonly vxlan?: readonly number[] };
}

export function summarise({ name, unit, megrez, vxlan, bare, target }: Figure): Line {
  const own = median(megrez);
  const rival = vxlan === undefined ? undefined : median(vxlan);
  const judged = rival === undefined ? own : own / rival;
  const sign = target?.is === 'at least' ? '≥' : '≤';
  return {
    name,
    unit,
    megrez: own,
    ...(rival === undefined ? {} : { vxlan: rival, ratio: own / rival }),
    ...(bare === undefined ? {} : { bare }),
    ...(target === undefined
      ? {}
      : {
          target: `${sign} ${target.value.toLocaleString('en')}${rival === undefined ? '' : ' ×'}`,
          reached: target.is === 'at least' ? judged >= target.value : judged <= target.value,
        }),
    values: { megrez, ...(vxlan === undefined ? {} : { vxlan }) },
  };
}

const text = (value: number | undefined): string => {
  if (value === undefined) return '';
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) < 100 ? 2 : 1);
};

const head = ['figure', 'unit', 'megrez', 'bridge + VXLAN', 'ratio', 'no overlay', 'target', ''] as const;

/** A table for eyes: a line per figure, columns aligned. */
export function table(lines: readonly Line[]): string {
  const rows = lines.map(({ name, unit, megrez, vxlan, ratio, bare, target = '', reached }) => [
    ...[name, unit, text(megrez), text(vxlan), ratio?.toFixed(2) ?? '', text(bare), target],
    reached === undefined ? '' : reached ? 'reached' : 'NOT REACHED',
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const isNumber = (column: number) => column >= 2 && column <= 6;
  const print = (row: readonly string[]) =>
    row
      .map((cell, i) => (isNumber(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return `${all.map(print).join('\n')}\n`;
}
