export { keys, parseKey, prefixes, type ParsedKey } from './keys';
export type * from './types';
