import type { Hello, SessionResponse } from '@megrez/model';
import type { WatchBatch } from '@megrez/store';
import { parseKey } from '@megrez/store';
import type { Context } from '../context';
import { semaphore } from '../support/semaphore';
import { attached_ms } from './attachment';
import { readLoad } from './read';
import { register, withdraw } from './register';
import { routeBatch } from './route';
import { type Outlet, Session } from './session';

const concurrent_loads = 16;
const sweep_ms = 500;
/** A silent agent's stream is closed after this; its host counts as detached long before. */
const silent_ms = 15_000;

export interface Relay {
  /** A new agent: registered, welcomed, and sent everything it must know. @throws MegrezError */
  open(hello: Hello, outlet: Outlet): Promise<Session>;
  onBatch(batch: WatchBatch): void;
  /** Every agent is to look for another controller. */
  endSessions(reason: string): void;
  close(): Promise<void>;
}

export const startRelay = (context: Context): Relay => {
  const { sessions, mirror, metrics, log } = context;
  const loads = semaphore(concurrent_loads);
  /** Sessions whose record in the store is theirs; a record outlives its stream for a while. */
  const recorded = new Map<string, Session>();
  /** The store that the mirror shows. A new one is known to the store a moment before its content is here. */
  let storeId = context.store.storeId;

  const open = async (hello: Hello, outlet: Outlet): Promise<Session> => {
    const session = new Session({
      host: hello.host,
      address: hello.address,
      outlet,
      read: (load, of) => gated(loads, () => readLoad(context.store, mirror, load, of)),
      counted: (kind) => metrics.messages.inc({ kind }),
      report: hello.report,
    });
    await register(context, hello, session);
    // A create that follows the Welcome must find the host here.
    while (mirror.revision < session.record_revision && !session.ended) await mirror.changed.next(1_000);
    // The stream may have broken meanwhile; nothing was sent yet, so nothing is lost.
    if (session.ended) return session;
    if (mirror.sessions.get(hello.host)?.value.session !== session.id) {
      session.end('a newer session of the same host took over');
      return session;
    }
    sessions.get(hello.host)?.end('a newer session of the same host took over');
    sessions.set(hello.host, session);
    recorded.set(hello.host, session);
    outlet.send(welcome(context, storeId, session));
    session.start();
    mirror.changed.raise();
    log.info({ host: hello.host, address: hello.address, session: session.id }, 'agent connected');
    return session;
  };

  /** Revisions of another store say nothing about what sessions were sent: every agent starts again. */
  const restored = (batch: WatchBatch): void => {
    const known = context.store.storeId;
    if (known === storeId && batch.revision >= mirror.revision) return;
    log.warn({ before: storeId, now: known }, 'the store was replaced');
    storeId = known;
    endSessions('the store was replaced');
    recorded.clear();
  };

  const onBatch = (batch: WatchBatch): void => {
    restored(batch);
    for (const [host, groups] of routeBatch(mirror, batch, sessions)) {
      sessions.get(host)?.deliver(groups);
    }
    for (const { path, value, revision } of batch.events) {
      const key = parseKey(path);
      if (key.kind === 'session') replaced(key.host, revision);
      else if ((key.kind === 'endpoint' || key.kind === 'service-address') && value === undefined)
        context.recent.add(`${key.vni}/${key.subnet}/${key.ip}`);
    }
    mirror.changed.raise();
  };

  /** Another session of the host, perhaps at another relay, is the current one. */
  const replaced = (host: string, revision: number): void => {
    const session = sessions.get(host);
    const record = mirror.sessions.get(host)?.value;
    if (session === undefined || revision <= session.record_revision) return;
    if (record !== undefined && record.session !== session.id) session.end('the host has a newer session elsewhere');
  };

  /** Records of this relay that belong to no session: since when, by the record's session. */
  const strays = new Map<string, { readonly host: string; readonly since_ms: number }>();

  /** Nobody would ever withdraw them (a registration whose answer was lost, a restored store), and waits would last. */
  const withdrawStrays = (now: number): void => {
    for (const [id, { host }] of strays) if (mirror.sessions.get(host)?.value.session !== id) strays.delete(id);
    for (const [host, { value, revision }] of mirror.sessions) {
      if (value.relay !== context.incarnation) continue;
      const known = strays.get(value.session);
      if (sessions.get(host)?.id === value.session || recorded.get(host)?.id === value.session) {
        strays.delete(value.session);
      } else if (known === undefined) {
        strays.set(value.session, { host, since_ms: now });
      } else if (now - known.since_ms > attached_ms) {
        strays.delete(value.session);
        log.warn({ host, session: value.session }, 'a session record without a session is withdrawn');
        withdraw(context, host, revision).catch((error: unknown) => {
          log.warn({ err: error, host }, 'the session record stays for now');
        });
      }
    }
  };

  const sweep = (): void => {
    const now = performance.now();
    for (const [host, session] of recorded) {
      const silence = now - session.last_ping_ms;
      if (silence < attached_ms) continue;
      recorded.delete(host);
      // The agent has long gone to another relay, or to a newer session here.
      if (mirror.sessions.get(host)?.value.session !== session.id) continue;
      session.abandonWaits();
      log.warn({ host, silence_ms: Math.round(silence) }, 'host detached: its agent is silent');
      withdraw(context, host, session.record_revision).catch((error: unknown) => {
        log.warn({ err: error, host }, 'the session record of a silent host stays for now');
        if (!recorded.has(host)) recorded.set(host, session);
      });
    }
    for (const [host, session] of sessions) {
      if (session.ended) sessions.delete(host);
      else if (now - session.last_ping_ms > silent_ms) session.end('the agent is silent');
      else if (!recorded.has(host) && now - session.last_ping_ms < attached_ms) session.end('the host was detached');
    }
    withdrawStrays(now);
    metrics.sessions.set(sessions.size);
  };
  const timer = setInterval(sweep, sweep_ms);
  const endSessions = (reason: string): void => {
    if (sessions.size > 0) log.warn({ reason, sessions: sessions.size }, 'every session ends');
    for (const session of sessions.values()) session.end(reason);
    sessions.clear();
  };

  return {
    open,
    onBatch,
    endSessions,
    close: async () => {
      clearInterval(timer);
      endSessions('the controller stops');
    },
  };
};

const welcome = (
  { incarnation, underlayPrefixes, leases }: Context,
  storeId: string,
  session: Session,
): SessionResponse => ({
  message: {
    oneofKind: 'welcome',
    welcome: {
      storeId,
      relay: incarnation,
      session: session.id,
      underlayPrefixes: [...underlayPrefixes],
      leases: {
        softLeaseMs: leases.soft_lease_ms,
        hardLeaseMs: leases.hard_lease_ms,
        checkMs: leases.check_ms,
      },
    },
  },
});

/** Runs an iteration as one of the semaphore's tasks. */
async function* gated<T>(gate: ReturnType<typeof semaphore>, iterate: () => AsyncIterable<T>): AsyncGenerator<T> {
  let release = (): void => undefined;
  const turn = new Promise<void>((started) => {
    void gate(
      () =>
        new Promise<void>((done) => {
          release = done;
          started();
        }),
    );
  });
  await turn;
  try {
    yield* iterate();
  } finally {
    release();
  }
}
