import { SessionRecord } from '@megrez/model';
import { expect, test } from 'vitest';
import type { Context } from '../context';
import { emptyMirror } from '../mirror';
import { whereIs } from './attachment';

/** A controller that knows of h1 only what the store says: a session at a relay that is gone. */
const contextOf = (lost_ms_ago: number | undefined): Context => {
  const mirror = emptyMirror();
  const value = SessionRecord.create({ host: 'h1', relay: 'gone', session: 's' });
  mirror.sessions.set('h1', { value, revision: 3 });
  if (lost_ms_ago !== undefined) mirror.lostRelays.set('gone', performance.now() - lost_ms_ago);
  return { mirror, incarnation: 'this', sessions: new Map() } as unknown as Context;
};

test('a host whose relay went a moment ago is on its way to another', () => {
  expect(whereIs(contextOf(100), 'h1').kind).toBe('unsettled');
});

test('to a controller that just started, every relay it never saw went just then', () => {
  expect(whereIs(contextOf(undefined), 'h1').kind).toBe('unsettled');
});

test('a host that did not come back is detached', () => {
  expect(whereIs(contextOf(6_000), 'h1').kind).toBe('detached');
});
