import { MegrezError } from '@megrez/model';
import type { Entry, Prefix, Store } from '@megrez/store';

export interface Page<T extends object> {
  readonly entries: readonly Entry<T>[];
  /** Empty on the last page. */
  readonly next: string;
}

/**
 * One page of what lies below a prefix, in the order of the keys. The token is the last key of the page before, so a
 * list that changes meanwhile neither repeats nor skips what stays.
 */
export const readPage = async <T extends object>(
  store: Store,
  prefix: Prefix<T>,
  size: number,
  token: string,
): Promise<Page<T>> => {
  const after = token === '' ? undefined : decode(token, prefix.path);
  const { entries, more } = await store.range(prefix, { limit: size, ...(after === undefined ? {} : { after }) });
  const last = entries.at(-1);
  return { entries, next: more && last !== undefined ? encode(last.path, prefix.path) : '' };
};

const encode = (path: string, prefix: string): string => Buffer.from(path.slice(prefix.length)).toString('base64url');

const decode = (token: string, prefix: string): string => {
  const rest = Buffer.from(token, 'base64url').toString();
  if (rest === '' || encode(prefix + rest, prefix) !== token) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_PAGE_TOKEN',
      object: 'page token',
      message: 'the page token is not one that a list call with the same filter has returned',
    });
  }
  return prefix + rest;
};
