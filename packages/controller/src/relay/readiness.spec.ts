import { describe, expect, it } from 'vitest';
import type { Context } from '../context';
import { emptyMirror } from '../mirror';
import { createMetrics } from '../server/metrics';
import { waitHosts } from './readiness';
import { waitTable } from './wait-table';

/** A controller whose watch has come to a revision, and who knows of no session. */
const contextAt = (revision: number): Context => {
  const mirror = emptyMirror();
  mirror.revision = revision;
  mirror.hosts.set('h1', { value: { name: 'h1' } as never, revision: 1 });
  const store = { getMany: () => Promise.resolve([]), count: () => Promise.resolve(0) };
  const closing = new AbortController().signal;
  return { mirror, store, closing, sessions: new Map(), metrics: createMetrics(), incarnation: 'a' } as never;
};
const wait = (context: Context, revision: number) =>
  waitHosts(context, { hosts: ['h1'], required: new Set(), revision, deadline_ms: performance.now() + 250 });

describe('waiting for hosts', () => {
  it('leaves out who is detached', async () => {
    expect(await wait(contextAt(7), 7)).toMatchObject({ late: [], detached: ['h1'] });
  });

  it('does not call a host detached that may have come since the watch last told', async () => {
    const context = contextAt(6);
    expect(await wait(context, 7)).toMatchObject({ late: ['h1'], detached: [] });
    const waiting = wait(context, 7);
    context.mirror.revision = 7;
    context.mirror.changed.raise();
    expect(await waiting).toMatchObject({ late: [], detached: ['h1'] });
  });

  it('nor among the users of a table', async () => {
    const deadline_ms = performance.now() + 250;
    expect(await waitTable(contextAt(6), 1, 1, 7, deadline_ms)).toMatchObject({ late: ['h1'] });
    expect(await waitTable(contextAt(7), 1, 1, 7, performance.now() + 250)).toEqual({ late: [], unattached: [] });
  });
});
