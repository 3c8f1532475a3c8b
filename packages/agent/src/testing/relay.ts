import { randomUUID } from 'node:crypto';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  type Ack,
  type Change,
  type Hello,
  type MappingAnswer,
  nodeServiceDefinition,
  type Ping,
  type SessionRequest,
  type SessionResponse,
} from '@megrez/model';

/** One agent's stream, seen from the controller. */
export interface RelaySession {
  readonly hello: Hello;
  readonly pings: Ping[];
  /** Sends changes and waits until they are acknowledged. */
  send(changes: readonly Change[], part?: { readonly snapshot?: boolean; readonly end?: boolean }): Promise<Ack>;
  ask(vni: number, ip: string): Promise<MappingAnswer>;
  end(): void;
}

/** A real gRPC server that speaks the controller's side of the session as a test tells it to. */
export interface Relay {
  readonly address: string;
  storeId: string;
  /** Of the sessions that open from now on. */
  hardLease_ms: number;
  /** Pings are answered. */
  answers: boolean;
  /** The next session that opens. */
  session(): Promise<RelaySession>;
  close(): Promise<void>;
}

type Stream = ServerDuplexStream<SessionRequest, SessionResponse>;

export const startRelay = async (socket: string): Promise<Relay> => {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const opened: RelaySession[] = [];
  const waiting: ((session: RelaySession) => void)[] = [];

  const open = (stream: Stream, hello: Hello): ((message: SessionRequest['message']) => void) => {
    let sequence = 0;
    const acks = new Map<number, (ack: Ack) => void>();
    const answers = new Map<number, (answer: MappingAnswer) => void>();
    const write = (message: SessionResponse['message']): void => {
      stream.write({ message });
    };
    const session: RelaySession = {
      hello,
      pings: [],
      send: (changes, { snapshot = false, end = false } = {}) => {
        sequence += 1;
        const batch = { sequence, revision: 0, snapshot, snapshotEnd: end, changes: [...changes] };
        return new Promise((resolve) => {
          acks.set(sequence, resolve);
          write({ oneofKind: 'batch', batch });
        });
      },
      ask: (vni, ip) =>
        new Promise((resolve) => {
          answers.set(answers.size + 1, resolve);
          write({ oneofKind: 'mappingQuery', mappingQuery: { id: answers.size, vni, ip } });
        }),
      end: () => stream.end(),
    };
    const leases = { softLeaseMs: 5_000, hardLeaseMs: relay.hardLease_ms, checkMs: 60_000 };
    write({
      oneofKind: 'welcome',
      welcome: {
        storeId: relay.storeId,
        relay: 'test',
        session: randomUUID(),
        underlayPrefixes: ['192.0.2.0/24'],
        leases,
      },
    });
    const waiter = waiting.shift();
    if (waiter === undefined) opened.push(session);
    else waiter(session);

    return (message) => {
      if (message.oneofKind === 'ping') {
        session.pings.push(message.ping);
        if (relay.answers) write({ oneofKind: 'pong', pong: { number: message.ping.number } });
      } else if (message.oneofKind === 'ack') {
        for (const [number, resolve] of acks) {
          if (number > message.ack.sequence) continue;
          acks.delete(number);
          resolve(message.ack);
        }
      } else if (message.oneofKind === 'mappingAnswer') answers.get(message.mappingAnswer.id)?.(message.mappingAnswer);
    };
  };

  server.addService(nodeServiceDefinition, {
    session: (stream: Stream) => {
      let handle: ((message: SessionRequest['message']) => void) | undefined;
      stream.on('data', ({ message }: SessionRequest) => {
        if (handle !== undefined) handle(message);
        else if (message.oneofKind === 'hello') handle = open(stream, message.hello);
      });
      stream.on('end', () => stream.end());
      stream.on('error', () => undefined);
    },
  });
  const relay: Relay = {
    address: `unix:${socket}`,
    storeId: randomUUID(),
    hardLease_ms: 10_000,
    answers: true,
    session: () => {
      const session = opened.shift();
      return session === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(session);
    },
    close: async () => server.forceShutdown(),
  };
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return relay;
};
