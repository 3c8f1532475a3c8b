import type { SessionResponse } from '@megrez/model';
import { describe, expect, it } from 'vitest';
import { attached_ms } from './attachment';
import { Session } from './session';

const open = (): { session: Session; sent: SessionResponse[]; ended: string[] } => {
  const sent: SessionResponse[] = [];
  const ended: string[] = [];
  const session = new Session({
    host: 'h1',
    address: '192.168.0.1',
    outlet: { send: (message) => sent.push(message), end: (reason) => ended.push(reason) },
    read: async function* () {},
    counted: () => undefined,
    report: undefined,
  });
  return { session, sent, ended };
};
const ping = (number: number) => ({ message: { oneofKind: 'ping' as const, ping: { number } } });

describe('a session', () => {
  it('answers pings', () => {
    const { session, sent, ended } = open();
    session.receive(ping(7));
    expect(sent).toEqual([{ message: { oneofKind: 'pong', pong: { number: 7 } } }]);
    expect(ended).toEqual([]);
  });

  it('does not attach a host again that was silent so long that nobody waits for it', () => {
    const { session, sent, ended } = open();
    session.last_ping_ms = performance.now() - attached_ms;
    session.receive(ping(8));
    expect(sent).toEqual([]);
    expect(ended).toEqual(['the host was detached']);
  });
});
