/** Leases that are given up by their holder before etcd gives them up. */
import type { Connections, Counters, Log, OwnStream } from './connections';
import { StoreError } from './error';
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from './gen/etcd/rpc';
import { stubs } from './stubs';
import type { Lease } from './types';

/** The holder believes in its lease for this part of the TTL, counted from when the answered renewal was sent. */
const believed = 0.9;
/** Renewals per TTL: a lost answer, and a change of the endpoint after it, still leave time. */
const renewals = 5;

const retry_ms = 100;

interface LeaseContext {
  readonly connections: Connections;
  readonly counters: Counters;
  readonly log: Log;
  /** Told once when the lease is no longer kept. */
  readonly onStop: (lease: KeptLease) => void;
}

export class KeptLease implements Lease {
  readonly id: string;
  readonly lost: Promise<void>;
  readonly #context: LeaseContext;
  readonly #renew_ms: number;
  #deadline_ms = 0;
  #resolveLost: () => void = () => {};
  #over = false;
  #turn: number;
  #stream: OwnStream<LeaseKeepAliveRequest, LeaseKeepAliveResponse> | undefined;
  /** When the renewals under way on this stream were sent; etcd answers them in order. */
  #sent_ms: number[] = [];
  readonly #renewTimer: NodeJS.Timeout;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(context: LeaseContext, id: string, ttl_ms: number, sent_ms: number) {
    this.id = id;
    this.#context = context;
    this.#renew_ms = ttl_ms / renewals;
    this.#turn = context.connections.active;
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve;
    });
    this.#renewTimer = setInterval(() => this.#renew(), this.#renew_ms);
    this.#extend(sent_ms, ttl_ms);
    this.#open();
  }

  get deadline_ms(): number {
    return this.#deadline_ms;
  }

  async revoke(): Promise<void> {
    this.stop();
    this.#deadline_ms = 0;
    try {
      await this.#context.connections.unary(stubs.revoke, { iD: this.id }, { write: true });
    } catch (cause) {
      const error = StoreError.from(cause);
      if (error.code !== 'LEASE_GONE') throw error;
    }
  }

  /** Ends renewing; the lease runs out by itself. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.onStop(this);
    clearInterval(this.#renewTimer);
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#retryTimer);
    this.#stream?.drop();
  }

  #lose(reason: string): void {
    if (this.#over) return;
    this.#context.log('lease lost', { lease: this.id, reason });
    this.stop();
    this.#deadline_ms = 0;
    this.#resolveLost();
  }

  #extend(sent_ms: number, ttl_ms: number): void {
    this.#deadline_ms = sent_ms + ttl_ms * believed;
    this.#watchDeadline();
  }

  #watchDeadline(): void {
    clearTimeout(this.#deadlineTimer);
    const left_ms = this.#deadline_ms - performance.now();
    if (left_ms <= 0) this.#lose('no renewal was answered in time');
    else this.#deadlineTimer = setTimeout(() => this.#watchDeadline(), Math.ceil(left_ms));
  }

  #open(): void {
    if (this.#over) return;
    const stream = this.#context.connections.stream(stubs.keepAlive, this.#turn);
    this.#stream = stream;
    this.#sent_ms = [];
    stream.call.on('data', (answer: LeaseKeepAliveResponse) => {
      const sent_ms = this.#sent_ms.shift();
      if (answer.tTL <= 0) this.#lose('etcd does not know it');
      else if (sent_ms !== undefined) this.#extend(sent_ms, answer.tTL * 1_000);
    });
    stream.call.on('error', (cause: unknown) => this.#reopen(StoreError.from(cause).message));
    stream.call.on('end', () => this.#reopen('the stream ended'));
    this.#renew();
  }

  #reopen(reason: string): void {
    if (this.#over) return;
    this.#context.log('lease keep-alive interrupted', { lease: this.id, endpoint: this.#stream?.endpoint, reason });
    this.#stream?.drop();
    this.#stream = undefined;
    this.#turn++;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#open(), Math.min(retry_ms, this.#renew_ms));
  }

  #renew(): void {
    if (this.#over || this.#stream === undefined) return;
    // Two ticks without an answer: with one, the answer may be here already, unread because this process paused.
    if (this.#sent_ms.length >= 2) {
      this.#reopen('no answer');
      return;
    }
    this.#sent_ms.push(performance.now());
    this.#context.counters.lease_renewals = (this.#context.counters.lease_renewals ?? 0) + 1;
    this.#stream.call.write({ iD: this.id });
  }
}

/** Grants a lease of at least `ttl_ms` (etcd counts whole seconds and has a minimum) and keeps it. */
export const keepLease = async (context: LeaseContext, ttl_ms: number): Promise<KeptLease> => {
  if (!(ttl_ms > 0)) throw new StoreError('INVALID', `lease of ${ttl_ms} ms`);
  const sent_ms = performance.now();
  const request = { iD: '0', tTL: Math.ceil(ttl_ms / 1_000) };
  const { iD, tTL } = await context.connections.unary(stubs.grant, request, { write: true });
  if (context.connections.closed) throw new StoreError('CLOSED', 'the store was closed while it was granted a lease');
  return new KeptLease(context, iD, tTL * 1_000, sent_ms);
};
