import { expect, test } from 'vitest';
import { type Column, formatTable } from './table';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly note?: string;
}

const columns: readonly Column<Row>[] = [
  { header: 'NAME', value: (row) => row.name },
  { header: 'COUNT', value: (row) => row.count },
  { header: 'NOTE', value: (row) => row.note },
  { header: 'TWICE', value: (row) => 2 * row.count, wide: true },
];
const rows: readonly Row[] = [
  { name: 'a', count: 1, note: 'first' },
  { name: 'long-name', count: 1000 },
];

test('columns are aligned, numbers to the right, nothing is a dash, no space ends a line', () => {
  expect(formatTable(columns, rows)).toBe(
    ['NAME       COUNT  NOTE', 'a              1  first', 'long-name   1000  -', ''].join('\n'),
  );
});

test('wide shows all columns', () => {
  expect(formatTable(columns, rows, true)).toBe(
    ['NAME       COUNT  NOTE   TWICE', 'a              1  first      2', 'long-name   1000  -       2000', ''].join(
      '\n',
    ),
  );
});

test('no rows: the header alone', () => expect(formatTable(columns, [])).toBe('NAME  COUNT  NOTE\n'));
