export interface Column<T> {
  readonly header: string;
  readonly value: (row: T) => string | number | undefined;
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
}

/** Columns as wide as their widest cell, two spaces apart, numbers to the right; `-` for nothing. */
export const formatTable = <T>(columns: readonly Column<T>[], rows: readonly T[], wide = false): string => {
  const shown = columns.filter((column) => wide || column.wide !== true);
  const cells = rows.map((row) => shown.map((column) => column.value(row)));
  const texts = [shown.map((column) => column.header), ...cells.map((line) => line.map(cellText))];
  const widths = shown.map((_, i) => Math.max(...texts.map((line) => line[i]?.length ?? 0)));
  const right = shown.map((_, i) => cells.length > 0 && cells.every((line) => typeof line[i] === 'number'));
  return texts
    .map((line) =>
      line
        .map((text, i) => (right[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
};

const cellText = (value: string | number | undefined): string =>
  value === undefined || value === '' ? '-' : `${value}`;
