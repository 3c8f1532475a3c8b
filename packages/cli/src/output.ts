import type { Io } from './io';
import { type Column, formatTable } from './table';

export const formats = ['table', 'wide', 'json', 'yaml'] as const;
export type Format = (typeof formats)[number];

/** Anything that turns a message into proto JSON, i.e. a generated message type. */
export interface Jsonable<T> {
  toJson(message: T, options: { readonly emitDefaultValues: boolean }): unknown;
}

/** How one kind of object is shown. */
export interface View<T extends object> {
  readonly columns: readonly Column<T>[];
  /** What an empty list says. */
  readonly none: string;
}

const toJson = <T>(type: Jsonable<T>, message: T): unknown => type.toJson(message, { emitDefaultValues: true });

/** For machines: proto JSON (lowerCamelCase, 64-bit numbers as strings), every field of ours present. */
export const printData = async (io: Io, format: Format, data: unknown): Promise<void> => {
  if (format === 'yaml') {
    const { stringify } = await import('./yaml');
    io.stdout(stringify(data));
  } else io.stdout(`${JSON.stringify(data, undefined, 2)}\n`);
};

export const isData = (format: Format): boolean => format === 'json' || format === 'yaml';

/** A list: rows of a table, or an array. */
export const printList = async <T extends object>(
  io: Io,
  format: Format,
  type: Jsonable<T>,
  view: View<T>,
  objects: readonly T[],
): Promise<void> => {
  if (isData(format)) {
    await printData(
      io,
      format,
      objects.map((object) => toJson(type, object)),
    );
  } else if (objects.length === 0) io.stderr(`${view.none}\n`);
  else io.stdout(formatTable(view.columns, objects, format === 'wide'));
};

/** One object: a table of one row, or the object itself. */
export const printOne = async <T extends object>(
  io: Io,
  format: Format,
  type: Jsonable<T>,
  view: View<T>,
  object: T,
): Promise<void> => {
  if (isData(format)) await printData(io, format, toJson(type, object));
  else await printList(io, format, type, view, [object]);
};

/** What is left to say of a deleted object: its name, or the object as it was. */
export const printRemoved = async <T extends object>(
  io: Io,
  format: Format,
  type: Jsonable<T>,
  name: string,
  object: T,
): Promise<void> => {
  if (isData(format)) await printData(io, format, toJson(type, object));
  else io.stdout(`${name} deleted\n`);
};
