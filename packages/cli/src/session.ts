import type { Client } from '@megrez/client';
import type * as Model from '@megrez/model';
import type { Command } from 'commander';
import type { Io } from './io';
import type { Format } from './output';

/** What a command that talks to a controller works with. */
export interface Session {
  readonly client: Client;
  readonly model: typeof Model;
  readonly format: Format;
}

/** Flags of the whole program, given before or behind the command. */
export interface GlobalFlags {
  readonly output: Format;
  readonly server?: readonly string[];
}

export const globalFlags = (command: Command): GlobalFlags => command.optsWithGlobals<GlobalFlags>();

/** How long one call may take. A write waits for hosts: for its own --timeout, which comes on top. */
export const patience = { read_ms: 10_000, write_ms: 30_000, cascade_ms: 600_000 } as const;

const nonEmpty = (servers: readonly string[] = []): readonly [string, ...string[]] | undefined => {
  const [first, ...others] = servers;
  return first === undefined ? undefined : [first, ...others];
};

/** A session that its user closes. */
export interface OpenSession extends Session {
  readonly close: () => void;
}

/** Connects to the first that answers of the controllers which flags or surroundings name. */
export const openSession = async (command: Command, io: Io, deadline_ms: number): Promise<OpenSession> => {
  const { output, server } = globalFlags(command);
  const [{ connect, defaultServers, firstReachable }, model] = await Promise.all([
    import('@megrez/client'),
    import('@megrez/model'),
  ]);
  const address = await firstReachable(nonEmpty(server) ?? defaultServers(io.env));
  const client = connect(address, { deadline_ms });
  return { client, model, format: output, close: () => client.close() };
};

/** Connects, as `openSession` does, and closes in the end. */
export const withSession = async (
  command: Command,
  io: Io,
  use: (session: Session) => Promise<void>,
  deadline_ms: number = patience.read_ms,
): Promise<void> => {
  const session = await openSession(command, io, deadline_ms);
  try {
    await use(session);
  } finally {
    session.close();
  }
};

/** All pages of a list, in order. */
export const allPages = async <T>(
  page: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly nextPageToken: string }>,
): Promise<readonly T[]> => {
  const all: T[] = [];
  let token = '';
  do {
    const { items, nextPageToken } = await page(token);
    for (const item of items) all.push(item);
    token = nextPageToken;
  } while (token !== '');
  return all;
};
