import { execFileSync } from 'node:child_process';

/** A type as `bpftool -j btf dump` prints it; only the fields of its kind are there. */
interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size: number;
  readonly type_id: number;
  readonly nr_elems: number;
  readonly members: readonly { readonly name: string; readonly type_id: number; readonly bits_offset: number }[];
  readonly values: readonly { readonly name: string; readonly val: number }[];
  readonly vars: readonly { readonly type_id: number }[];
}

/** What a field or a whole key or value is. */
export type Shape =
  | { readonly kind: 'integer'; readonly size: number; readonly bigEndian: boolean }
  | { readonly kind: 'bytes'; readonly size: number }
  | { readonly kind: 'enum'; readonly name: string }
  | { readonly kind: 'struct'; readonly name: string };

export interface Struct {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly { readonly name: string; readonly offset: number; readonly shape: Shape }[];
}

export interface Enum {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

export interface MapDefinition {
  readonly name: string;
  /** Number of BPF_MAP_TYPE_*. */
  readonly type: number;
  readonly max_entries: number;
  readonly key: Shape;
  readonly value: Shape;
}

export interface Abi {
  /** Those that keys and values are made of, inner ones first. */
  readonly structs: readonly Struct[];
  readonly enums: readonly Enum[];
  readonly maps: readonly MapDefinition[];
}

/** Reads maps, the structs of their keys and values, and every named enum from an object's BTF. */
export const readAbi = (object: string): Abi => {
  const output = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', object], { maxBuffer: 1 << 28 });
  const types = new Map((JSON.parse(output.toString()).types as BtfType[]).map((type) => [type.id, type]));
  const typeOf = (id: number): BtfType => types.get(id) ?? fail(`BTF of ${object} has no type ${id}`);
  const structs = new Map<string, Struct>();
  const enums = new Map<string, Enum>();

  const addEnum = ({ name, values }: BtfType): void => {
    enums.set(name, { name, values: values.map((value) => ({ name: value.name, value: value.val })) });
  };
  const addStruct = (type: BtfType): void => {
    if (structs.has(type.name)) return;
    const fields = type.members
      .filter(({ name }) => !/^padding\d*$/.test(name))
      .map(({ name, type_id, bits_offset }) => ({ name, offset: bits_offset / 8, shape: shapeOf(type_id) }));
    structs.set(type.name, { name: type.name, size: type.size, fields });
  };
  const shapeOf = (id: number, bigEndian = false): Shape => {
    const type = typeOf(id);
    switch (type.kind) {
      case 'TYPEDEF':
        return shapeOf(type.type_id, bigEndian || /^__be\d+$/.test(type.name));
      case 'CONST':
      case 'VOLATILE':
        return shapeOf(type.type_id, bigEndian);
      case 'INT':
        return { kind: 'integer', size: type.size, bigEndian };
      case 'ENUM':
        addEnum(type);
        return { kind: 'enum', name: type.name };
      case 'ARRAY': {
        const element = shapeOf(type.type_id);
        if (element.kind === 'integer' && element.size === 1) return { kind: 'bytes', size: type.nr_elems };
        // secret[2] and the like: nothing outside reads them by word.
        if (element.kind === 'integer') return { kind: 'bytes', size: element.size * type.nr_elems };
        return fail(`arrays of ${element.kind} have no codec`);
      }
      case 'STRUCT':
        if (type.name === 'address') return { kind: 'bytes', size: 16 };
        addStruct(type);
        return { kind: 'struct', name: type.name };
      default:
        return fail(`BTF kind ${type.kind} (${type.name}) has no codec`);
    }
  };

  const pointed = (id: number): BtfType => typeOf(typeOf(id).type_id);
  const mapOf = (id: number): MapDefinition => {
    const variable = typeOf(id);
    const members = new Map(typeOf(variable.type_id).members.map(({ name, type_id }) => [name, type_id]));
    const member = (name: string): number => members.get(name) ?? fail(`map ${variable.name} has no ${name}`);
    return {
      name: variable.name,
      type: pointed(member('type')).nr_elems,
      max_entries: pointed(member('max_entries')).nr_elems,
      key: shapeOf(typeOf(member('key')).type_id),
      value: shapeOf(typeOf(member('value')).type_id),
    };
  };

  const all = [...types.values()];
  const section = all.find(({ kind, name }) => kind === 'DATASEC' && name === '.maps') ?? fail(`${object} has no maps`);
  const maps = section.vars
    .filter(({ type_id }) => isRowMap(typeOf(typeOf(type_id).type_id)))
    .map((v) => mapOf(v.type_id));
  for (const type of all) if (type.kind === 'ENUM' && wanted.has(type.name)) addEnum(type);
  // Where a type stands in the BTF changes with the programs; structs stay, inner ones first.
  const byName = (a: Enum, b: Enum): number => (a.name < b.name ? -1 : 1);
  return { structs: [...structs.values()], enums: [...enums.values()].sort(byName), maps };
};

/** Ring buffers and the like have neither key nor value. */
const isRowMap = ({ members }: BtfType): boolean =>
  ['key', 'value'].every((name) => members.some((m) => m.name === name));

/** Enums of abi.h and wire.h that no row may hold; others in the BTF are the kernel's. */
const wanted = new Set(['limit', 'program', 'op', 'affinity', 'refusal']);

const fail = (message: string): never => {
  throw new Error(message);
};
