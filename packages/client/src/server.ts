import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MegrezError } from '@megrez/model';

/** Where a controller listens unless told otherwise. */
export const standardServer = '127.0.0.1:7400';

/**
 * The controllers that are meant when nobody names one: MEGREZ_SERVER (several with commas), else the one of a running development cluster
 * (the file `server` in MEGREZ_DEV_DIR or /run/megrez/dev), else 127.0.0.1:7400.
 */
export const defaultServers = (
  env: Readonly<Record<string, string | undefined>> = process.env,
): readonly [string, ...string[]] => {
  const [first, ...others] = (env.MEGREZ_SERVER ?? '').split(',').filter((address) => address !== '');
  if (first !== undefined) return [first, ...others];
  return [devServer(env.MEGREZ_DEV_DIR || '/run/megrez/dev') ?? standardServer];
};

const devServer = (directory: string): string | undefined => {
  try {
    return readFileSync(join(directory, 'server'), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
};

/**
 * `host:port`, `[v6]:port` or `unix:/path`, as given.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_SERVER
 */
export const validateServer = (address: string): string => {
  if (/^unix:\/[^\s]*$/.test(address) || /^unix:\/\/\/[^\s]*$/.test(address)) return address;
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(address);
  if (match !== null && Number(match[1]) >= 1 && Number(match[1]) <= 65_535) return address;
  throw new MegrezError({
    code: 'INVALID_ARGUMENT',
    reason: 'INVALID_SERVER',
    object: `controller ${address}`,
    message: `'${address}' is not the address of a controller: write HOST:PORT or unix:/PATH`,
  });
};
