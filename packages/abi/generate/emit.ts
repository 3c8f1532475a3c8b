import type { Abi, Enum, MapDefinition, Shape, Struct } from './btf.ts';

const banner = '// Generated from the BTF of bpf/ (npm run generate). Do not edit.\n';

/** File name -> text. */
export const emit = (abi: Abi): Readonly<Record<string, string>> => ({
  'enums.ts': banner + abi.enums.map(emitEnum).join(''),
  'structs.ts': banner + structImports(abi) + abi.structs.map(emitStruct).join(''),
  'maps.ts': banner + mapImports(abi) + emitMaps(abi.maps),
});

const pascal = (name: string): string =>
  name.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** verdict -> VERDICT_, path_state -> PATH_: what all the names begin with, when it is a word of the enum's name. */
const prefixOf = ({ name, values }: Enum): string => {
  const prefix = `${name.split('_')[0]?.toUpperCase()}_`;
  return values.every((value) => value.name.startsWith(prefix)) ? prefix : '';
};

const emitEnum = (definition: Enum): string => {
  const type = pascal(definition.name);
  const prefix = prefixOf(definition);
  const entries = definition.values.map(({ name, value }) => [name.slice(prefix.length).toLowerCase(), value] as const);
  const members = entries.map(([name, value]) => `  ${name}: ${value},\n`).join('');
  return `
export const ${type} = {
${members}} as const;
export type ${type} = (typeof ${type})[keyof typeof ${type}];
export type ${type}Name = keyof typeof ${type};
`;
};

const structImports = ({ structs }: Abi): string => {
  const enums = new Set(structs.flatMap(({ fields }) => fields.flatMap(({ shape }) => enumTypes(shape))));
  const types = [...enums].sort();
  const helpers = `import { readBytes, readGeneration, writeBytes, writeGeneration, zeroed } from '../bytes';\n`;
  return types.length === 0 ? helpers : `${helpers}import type { ${types.join(', ')} } from './enums';\n`;
};

const isFlags = (name: string): boolean => name.endsWith('_flag');
const enumTypes = (shape: Shape): readonly string[] =>
  shape.kind === 'enum' && !isFlags(shape.name) ? [pascal(shape.name)] : [];

const emitStruct = ({ name, size, fields }: Struct): string => {
  const type = pascal(name);
  const lines = (of: (field: (typeof fields)[number]) => string): string => fields.map(of).join('\n');
  return `
export interface ${type} {
${lines((field) => `  readonly ${field.name}: ${typeOf(field.name, field.shape)};`)}
}

export const ${camel(name)}Size = ${size};

const write${type} = (buffer: Buffer, offset: number, value: ${type}): void => {
${lines((field) => `  ${writeOf(field.name, field.offset, field.shape)};`)}
};

export const encode${type} = (value: ${type}): Buffer => {
  const buffer = zeroed(${size});
  write${type}(buffer, 0, value);
  return buffer;
};

export const decode${type} = (buffer: Buffer, offset = 0): ${type} => ({
${lines((field) => `  ${field.name}: ${readOf(field.name, field.offset, field.shape)},`)}
});
`;
};

// etcd revisions are safe integers in all of TypeScript.
const isGeneration = (name: string, shape: Shape): boolean =>
  name === 'generation' && shape.kind === 'integer' && shape.size === 8 && !shape.bigEndian;

const typeOf = (name: string, shape: Shape): string => {
  switch (shape.kind) {
    case 'integer':
      return shape.size === 8 && !isGeneration(name, shape) ? 'bigint' : 'number';
    case 'bytes':
      return 'Uint8Array';
    case 'enum':
      return isFlags(shape.name) ? 'number' : pascal(shape.name);
    default:
      return pascal(shape.name);
  }
};

const access = (size: number, bigEndian: boolean): string => {
  if (size === 1) return 'UInt8';
  return `${size === 8 ? 'BigUInt64' : `UInt${size * 8}`}${bigEndian ? 'BE' : 'LE'}`;
};

const at = (offset: number): string => (offset === 0 ? 'offset' : `offset + ${offset}`);

const writeOf = (name: string, offset: number, shape: Shape): string => {
  if (isGeneration(name, shape)) return `writeGeneration(buffer, ${at(offset)}, value.${name})`;
  switch (shape.kind) {
    case 'integer':
      return `buffer.write${access(shape.size, shape.bigEndian)}(value.${name}, ${at(offset)})`;
    case 'bytes':
      return `writeBytes(buffer, ${at(offset)}, value.${name}, ${shape.size})`;
    case 'enum':
      return `buffer.writeUInt32LE(value.${name}, ${at(offset)})`;
    default:
      return `write${pascal(shape.name)}(buffer, ${at(offset)}, value.${name})`;
  }
};

const readOf = (name: string, offset: number, shape: Shape): string => {
  if (isGeneration(name, shape)) return `readGeneration(buffer, ${at(offset)})`;
  switch (shape.kind) {
    case 'integer':
      return `buffer.read${access(shape.size, shape.bigEndian)}(${at(offset)})`;
    case 'bytes':
      return `readBytes(buffer, ${at(offset)}, ${shape.size})`;
    case 'enum':
      return `buffer.readUInt32LE(${at(offset)})${isFlags(shape.name) ? '' : ` as ${pascal(shape.name)}`}`;
    default:
      return `decode${pascal(shape.name)}(buffer, ${at(offset)})`;
  }
};

/** BPF_MAP_TYPE_*, as many as are in use. */
const mapTypes: Readonly<Record<number, string>> = {
  1: 'hash',
  2: 'array',
  5: 'percpu_hash',
  6: 'percpu_array',
  9: 'lru_hash',
  10: 'lru_percpu_hash',
  11: 'lpm_trie',
};

const mapImports = ({ maps }: Abi): string => {
  const structs = new Set(
    maps.flatMap(({ key, value }) => [key, value].flatMap((shape) => (shape.kind === 'struct' ? [shape.name] : []))),
  );
  const names = [...structs]
    .flatMap((name) => [`decode${pascal(name)}`, `encode${pascal(name)}`, `${camel(name)}Size`])
    .sort();
  return `import { u32 } from '../bytes';\nimport { ${names.join(', ')} } from './structs';\n`;
};

const codecOf = (map: string, shape: Shape): string => {
  if (shape.kind === 'struct') {
    const type = pascal(shape.name);
    return `{ size: ${camel(shape.name)}Size, encode: encode${type}, decode: decode${type} }`;
  }
  if (shape.kind === 'integer' && shape.size === 4 && !shape.bigEndian) return 'u32';
  throw new Error(`map ${map} has a key or value without a codec`);
};

const emitMaps = (maps: readonly MapDefinition[]): string => {
  const entries = maps.map(
    ({ name, type, max_entries, key, value }) => `  ${name}: {
    type: '${mapTypes[type] ?? unknownType(name, type)}',
    max_entries: ${max_entries},
    key: ${codecOf(name, key)},
    value: ${codecOf(name, value)},
  },
`,
  );
  return `
/** Every map of the object, by its name there. */
export const maps = {
${entries.join('')}} as const;
export type MapName = keyof typeof maps;
`;
};

const unknownType = (map: string, type: number): never => {
  throw new Error(`map ${map} is of BPF map type ${type}, which has no name here`);
};
