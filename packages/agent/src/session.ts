import { randomUUID } from 'node:crypto';
import { connect } from '@megrez/client';
import type {
  AgentReport,
  Batch,
  Failure,
  Hello,
  MappingAnswer,
  MappingQuery,
  SessionRequest,
  Welcome,
} from '@megrez/model';
import type { Logger } from 'pino';

export const ping_ms = 500;
/** A ping's answer keeps the host attached this long after the ping was sent. */
export const attached_ms = 2_000;
/** A controller that leaves pings unanswered this long is given up. */
const silent_ms = 2_500;
/** Changes that may wait for the loop; a controller sends no more than half of this unacknowledged. */
const inbox_changes = 100_000;
const backoff = { first_ms: 100, last_ms: 3_000 } as const;

/** One stream to one controller. */
export interface Session {
  readonly server: string;
  readonly ended: boolean;
  acknowledge(sequence: number, failures: readonly Failure[]): void;
  /** Changes are done with: there is room for others. */
  done(changes: number): void;
  /** Ends it; the next one brings everything again. */
  fail(error: unknown): void;
}

export interface SessionHandlers {
  /** The beginning of every session: who we are and what we hold. */
  hello(): Hello;
  onWelcome(session: Session, welcome: Welcome): void;
  onBatch(session: Session, batch: Batch): void;
  /** `sent_ns`: CLOCK_MONOTONIC when the answered ping was sent. */
  onPong(session: Session, sent_ns: bigint): void;
  onQuery(query: MappingQuery): MappingAnswer;
  onEnd(session: Session): void;
  /** The report when it changed since the last call. */
  changedReport(): AgentReport | undefined;
  counted(direction: 'sent' | 'received', kind: string): void;
}

export interface Sessions {
  /** The current one, once welcomed. */
  readonly current: Session | undefined;
  close(): Promise<void>;
}

export const incarnation = randomUUID();

/** Keeps a session with one of the controllers, one after the other, for ever. */
export const keepSession = (servers: readonly string[], handlers: SessionHandlers, log: Logger): Sessions => {
  let closing = false;
  let current: Session | undefined;
  let interrupt = (): void => undefined;
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const run = async (server: string): Promise<boolean> => {
    const client = connect(server);
    const abort = new AbortController();
    const call = client.node.session({ abort: abort.signal });
    let ended = false;
    let welcomed = false;
    let waiting = 0;
    let why: unknown;
    const end = (reason: unknown): void => {
      if (ended) return;
      ended = true;
      why = reason;
      abort.abort();
    };
    const send = (message: SessionRequest['message']): void => {
      if (ended) return;
      handlers.counted('sent', message.oneofKind ?? 'nothing');
      call.requests.send({ message }).catch((error: unknown) => end(error));
    };
    const session: Session = {
      server,
      get ended() {
        return ended;
      },
      acknowledge: (sequence, failures) => send({ oneofKind: 'ack', ack: { sequence, failures: [...failures] } }),
      done: (changes) => {
        waiting -= changes;
      },
      fail: end,
    };

    let number = 0;
    let heard_at = performance.now();
    const pings = new Map<number, bigint>();
    const ping = (): void => {
      if (performance.now() - heard_at > silent_ms) {
        end(new Error(`${server} does not answer`));
        return;
      }
      number += 1;
      pings.set(number, process.hrtime.bigint());
      for (const old of pings.keys()) if (old < number - 8) pings.delete(old);
      const report = handlers.changedReport();
      send({ oneofKind: 'ping', ping: report === undefined ? { number } : { number, report } });
    };
    const timer = setInterval(ping, ping_ms);
    interrupt = () => end(new Error('the agent stops'));
    if (closing) interrupt();

    try {
      send({ oneofKind: 'hello', hello: handlers.hello() });
      for await (const { message } of call.responses) {
        heard_at = performance.now();
        handlers.counted('received', message.oneofKind ?? 'nothing');
        if (message.oneofKind === 'welcome') {
          welcomed = true;
          current = session;
          log.info({ server, relay: message.welcome.relay, store: message.welcome.storeId }, 'session opened');
          handlers.onWelcome(session, message.welcome);
          ping();
        } else if (message.oneofKind === 'batch') {
          waiting += message.batch.changes.length;
          if (waiting > inbox_changes) end(new Error('more changes came than the host can work off'));
          else handlers.onBatch(session, message.batch);
        } else if (message.oneofKind === 'pong') {
          const sent_ns = pings.get(message.pong.number);
          pings.delete(message.pong.number);
          if (sent_ns !== undefined) handlers.onPong(session, sent_ns);
        } else if (message.oneofKind === 'mappingQuery') {
          send({ oneofKind: 'mappingAnswer', mappingAnswer: handlers.onQuery(message.mappingQuery) });
        }
        if (ended) break;
      }
      end(new Error(`${server} ended the session`));
    } catch (error) {
      end(error);
    } finally {
      clearInterval(timer);
      // The call's promises fail with the stream; whoever reads the stream has seen it.
      for (const promise of [call.status, call.headers, call.trailers]) promise.catch(() => undefined);
      client.close();
      if (current === session) current = undefined;
      if (welcomed) handlers.onEnd(session);
      if (!closing) log.warn({ server, error: why }, welcomed ? 'session ended' : 'no session');
    }
    return welcomed;
  };

  const forever = async (): Promise<void> => {
    let delay_ms: number = backoff.first_ms;
    for (let i = 0; !closing; i++) {
      const server = servers[i % servers.length] as string;
      if (await run(server)) delay_ms = backoff.first_ms;
      if (closing) return;
      // Half of it at random: the hosts of a fallen controller must not all come at once.
      await wait(delay_ms * (0.5 + Math.random()));
      if (i % servers.length === servers.length - 1) delay_ms = Math.min(backoff.last_ms, delay_ms * 2);
    }
  };
  const done = forever();

  return {
    get current() {
      return current;
    },
    close: async () => {
      closing = true;
      interrupt();
      await done;
    },
  };
};
