/** Connections to etcd's endpoints: one shared per endpoint for calls, and one of its own for every stream. */
import { Client, type ClientDuplexStream, connectivityState, credentials, Metadata } from '@grpc/grpc-js';
import { StoreError } from './error';
import type { Method } from './stubs';

export type Log = (message: string, fields: Readonly<Record<string, unknown>>) => void;
export type Counters = Record<string, number>;

export const callDeadline_ms = 5_000;

const channelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.use_local_subchannel_pool': 1,
  // Books about every call that nobody reads.
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // A call is sent once; what is sent again is decided here, where it is known what is safe.
  'grpc.enable_retries': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // etcd hangs up on clients that ping more often than every 5 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc-node.flow_control_window': 4 << 20,
} as const;

interface Shared {
  readonly target: string;
  client: Client;
}

export interface CallOptions {
  /** An answer lost on the way is ambiguous and the call is never repeated. */
  readonly write?: boolean;
  readonly deadline_ms?: number;
}

/** A stream on a connection of its own; `drop` ends both, and nothing is heard of either afterwards. */
export interface OwnStream<I, O> {
  readonly endpoint: string;
  readonly call: ClientDuplexStream<I, O>;
  drop(): void;
}

const targetOf = (endpoint: string): string => {
  const url = URL.parse(endpoint);
  if (url?.protocol !== 'http:' || url.host === '') {
    throw new StoreError('INVALID', `endpoint ${endpoint}: want http://host:port`);
  }
  return url.port === '' ? `${url.host}:2379` : url.host;
};

export class Connections {
  readonly #shared: readonly Shared[];
  #active = 0;
  #closed = false;

  constructor(endpoints: readonly string[]) {
    if (endpoints.length === 0) throw new StoreError('INVALID', 'no endpoints');
    this.#shared = endpoints.map((endpoint) => {
      const target = targetOf(endpoint);
      return { target, client: connect(target) };
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Number of the endpoint that calls prefer; streams that keep failing choose for themselves. */
  get active(): number {
    return this.#active;
  }

  /**
   * One call. A read is repeated once when the connection broke; a write never is. While no endpoint is connected the
   * call waits, up to its deadline, before it sends anything: such an UNAVAILABLE is not ambiguous.
   */
  async unary<I extends object, O extends object>(
    method: Method<I, O>,
    request: I,
    { write = false, deadline_ms = callDeadline_ms }: CallOptions = {},
  ): Promise<O> {
    const deadline = Date.now() + deadline_ms;
    for (let attempt = 1; ; attempt++) {
      const shared = this.#ready() ?? (await this.#connected(deadline));
      const client = shared.client;
      try {
        return await call(client, method, request, deadline);
      } catch (cause) {
        const error = StoreError.from(cause, { write });
        if (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE') this.#suspect(shared, client, error.code);
        if (write || error.code !== 'UNAVAILABLE' || attempt > 1) throw error;
      }
    }
  }

  /** A stream of endpoint number `turn` fell silent: calls turn to another one before they run into their deadline. */
  avoid(turn: number): void {
    const shared = this.#shared[turn % this.#shared.length] as Shared;
    if (this.#shared.length > 1 && shared === this.#shared[this.#active])
      this.#suspect(shared, shared.client, 'DEADLINE');
  }

  /** Opens `method` on a new connection to endpoint number `turn` (modulo their count). */
  stream<I extends object, O extends object>(method: Method<I, O>, turn: number): OwnStream<I, O> {
    if (this.#closed) throw closedError();
    const { target } = this.#shared[turn % this.#shared.length] as Shared;
    const client = connect(target);
    const metadata = new Metadata();
    // A member cut off from the majority would otherwise stay silent and look alive.
    metadata.set('hasleader', 'true');
    const call = client.makeBidiStreamRequest(method.path, method.encode, method.decode, metadata);
    let dropped = false;
    return {
      endpoint: target,
      call,
      drop: () => {
        if (dropped) return;
        dropped = true;
        call.removeAllListeners();
        call.on('error', () => {});
        call.cancel();
        closeSoon(client);
      },
    };
  }

  close(): void {
    this.#closed = true;
    for (const { client } of this.#shared) closeSoon(client);
  }

  #ready(): Shared | undefined {
    if (this.#closed) throw closedError();
    for (let i = 0; i < this.#shared.length; i++) {
      const turn = (this.#active + i) % this.#shared.length;
      const shared = this.#shared[turn] as Shared;
      if (shared.client.getChannel().getConnectivityState(true) !== connectivityState.READY) continue;
      this.#active = turn;
      return shared;
    }
    return undefined;
  }

  async #connected(deadline: number): Promise<Shared> {
    const waits = this.#shared.map(
      (shared) =>
        new Promise<Shared>((resolve, reject) => {
          shared.client.waitForReady(deadline, (error) => (error ? reject(error) : resolve(shared)));
        }),
    );
    try {
      return await Promise.any(waits);
    } catch {
      if (this.#closed) throw closedError();
      const targets = this.#shared.map(({ target }) => target).join(', ');
      throw new StoreError('UNAVAILABLE', `no etcd endpoint answers (${targets}); nothing was sent`);
    }
  }

  #suspect(shared: Shared, client: Client, code: 'UNAVAILABLE' | 'DEADLINE'): void {
    if (shared.client !== client || this.#closed) return;
    this.#active = (this.#shared.indexOf(shared) + 1) % this.#shared.length;
    if (code === 'UNAVAILABLE') return;
    // A connection may be black-holed for ever while it still looks connected. Calls under way on it end by themselves.
    shared.client = connect(shared.target);
    closeSoon(client);
  }
}

const closedError = (): StoreError => new StoreError('CLOSED', 'the store is closed');

const connect = (target: string): Client => new Client(target, credentials.createInsecure(), channelOptions);

// grpc-js (1.14) resolves a new channel's address in a later tick and connects then even if it was closed meanwhile: such
// a connection stays for ever.
const closeSoon = (client: Client): void => void setImmediate(() => client.close());

const call = <I extends object, O extends object>(
  client: Client,
  method: Method<I, O>,
  request: I,
  deadline: number,
): Promise<O> =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest(method.path, method.encode, method.decode, request, { deadline }, (error, response) => {
      if (error !== null) reject(error);
      else resolve(response as O);
    });
  });
