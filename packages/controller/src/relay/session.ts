import { randomUUID } from 'node:crypto';
import type {
  AgentReport,
  Batch,
  Change,
  Failure,
  MappingAnswer,
  SessionRequest,
  SessionResponse,
} from '@megrez/model';
import type { HostEvents } from './events';
import { type Knowledge, knowledge, type Load, type Step } from './knowledge';
import type { Listener } from './route';

/** Batches of a snapshot or a slot's content hold at most this many changes; one of them is under way at a time. */
const page_changes = 2_000;
/** A session that leaves more than this unacknowledged, or waiting behind a load, is ended and resynchronises. */
const queue_limit = 50_000;
const failures_kept = 4_096;

export class SessionEnded extends Error {}

/** What carries a session: the server's side of the stream. */
export interface Outlet {
  send(message: SessionResponse): void;
  end(reason: string): void;
}

export interface SessionFields {
  readonly host: string;
  readonly address: string;
  readonly incarnation: string;
  readonly outlet: Outlet;
  /** Reads what the steps of a session need of the store. */
  readonly read: (load: Load, session: Session) => AsyncIterable<readonly Change[]>;
  readonly counted: (kind: string, count: number) => void;
  readonly report: AgentReport | undefined;
  readonly now: () => number;
}

interface Item {
  readonly revision: number;
  /** Of the last message that the item needed; undefined while it is under way. */
  sequence: number | undefined;
}

/** One agent's stream: numbers what is sent, knows what is acknowledged, keeps order while the store is being read. */
export class Session implements Listener {
  readonly id = randomUUID();
  readonly know: Knowledge;
  /** mod_revision of this session's record in the store. */
  record_revision = 0;
  last_ping_ms: number;
  report: AgentReport | undefined;
  ended = false;
  /** Endpoint events up to this revision are in the snapshot already. */
  floor = 0;
  private sent = 0;
  private acked = 0;
  private unacked_changes = 0;
  private readonly sizes: number[] = [];
  private readonly items: Item[] = [];
  private readonly queue: { readonly item: Item; readonly steps: () => readonly Step[]; readonly size: number }[] = [];
  private queued_changes = 0;
  private running = false;
  private waiters: { revision: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  private pageWaiter: { sequence: number; resolve: () => void; reject: (error: Error) => void } | undefined;
  private readonly failures = new Map<number, Failure[]>();
  private questions = new Map<number, { resolve: (answer: MappingAnswer) => void; reject: (error: Error) => void }>();
  private asked = 0;

  constructor(private readonly fields: SessionFields) {
    this.know = knowledge(fields.host);
    this.last_ping_ms = fields.now();
    this.report = fields.report;
  }

  get host(): string {
    return this.fields.host;
  }

  get address(): string {
    return this.fields.address;
  }

  get incarnation(): string {
    return this.fields.incarnation;
  }

  get loading(): boolean {
    return this.running;
  }

  knows(subnet: string): boolean {
    return this.know.knows(subnet);
  }

  knowsVpc(vni: number): boolean {
    return this.know.knowsVpc(vni);
  }

  /** The first thing a session does: everything the host must know, from one revision. */
  start(): void {
    this.enqueue(0, 1, () => [{ kind: 'load', load: { kind: 'snapshot' } }]);
  }

  deliver(groups: readonly HostEvents[]): void {
    for (const { revision, events } of groups) {
      this.enqueue(revision, events.length, () => this.know.steps(events, revision, this.floor));
    }
  }

  /** Steps that need no reading are sent at once, all groups of a watch batch in one message; see flush. */
  private enqueue(revision: number, size: number, steps: () => readonly Step[]): void {
    if (this.ended) return;
    const item: Item = { revision, sequence: undefined };
    this.items.push(item);
    this.queue.push({ item, steps, size });
    this.queued_changes += size;
    if (this.queued_changes + this.unacked_changes > queue_limit) this.end('the session lags behind: it starts again');
  }

  /** Sends what is queued, unless a load is under way (which does so when it is complete). */
  flush(): void {
    if (this.running || this.ended) return;
    const changes: Change[] = [];
    const done: Item[] = [];
    let revision = 0;
    for (let entry = this.queue.shift(); entry !== undefined; entry = this.queue.shift()) {
      this.queued_changes -= entry.size;
      const steps = entry.steps();
      const load = steps.findIndex((step) => step.kind === 'load');
      for (const step of load === -1 ? steps : steps.slice(0, load))
        if (step.kind === 'change') changes.push(step.change);
      if (load !== -1) {
        this.send(changes, revision);
        for (const item of done) item.sequence = this.sent;
        void this.run(entry.item, steps.slice(load));
        return;
      }
      revision = entry.item.revision;
      done.push(entry.item);
    }
    this.send(changes, revision);
    for (const item of done) item.sequence = this.sent;
    this.settle();
  }

  private async run(item: Item, steps: readonly Step[]): Promise<void> {
    this.running = true;
    try {
      for (const step of steps) {
        if (step.kind === 'change') this.send([step.change], item.revision);
        else await this.load(step.load);
      }
      item.sequence = this.sent;
    } catch (error) {
      if (!this.ended) this.end(`the session's content could not be read: ${(error as Error).message}`);
      return;
    } finally {
      this.running = false;
    }
    this.settle();
    this.flush();
  }

  private async load(load: Load): Promise<void> {
    const snapshot = load.kind === 'snapshot';
    let page: Change[] = [];
    for await (const changes of this.fields.read(load, this)) {
      for (const change of changes) {
        page.push(change);
        if (page.length < page_changes) continue;
        await this.page(page, load, false);
        page = [];
      }
    }
    // Also when nothing is left: the end of a snapshot is what allows pruning.
    if (snapshot || page.length > 0) await this.page(page, load, snapshot);
  }

  private async page(changes: readonly Change[], load: Load, end: boolean): Promise<void> {
    if (this.ended) throw new SessionEnded();
    const snapshot = load.kind === 'snapshot';
    const revision = load.kind === 'slots' ? load.revision : this.floor;
    const sequence = this.write({ changes: [...changes], snapshot, snapshotEnd: end, revision });
    if (end) return;
    await new Promise<void>((resolve, reject) => {
      this.pageWaiter = { sequence, resolve, reject };
    });
  }

  private send(changes: readonly Change[], revision: number): void {
    if (changes.length === 0) return;
    this.write({ changes: [...changes], snapshot: false, snapshotEnd: false, revision });
  }

  private write(batch: Omit<Batch, 'sequence'>): number {
    this.sent += 1;
    this.sizes.push(batch.changes.length);
    this.unacked_changes += batch.changes.length;
    this.fields.counted(batch.snapshot ? 'snapshot' : 'delta', 1);
    this.fields.outlet.send({ message: { oneofKind: 'batch', batch: { sequence: this.sent, ...batch } } });
    return this.sent;
  }

  receive({ message }: SessionRequest): void {
    if (message.oneofKind === 'ack') this.acknowledge(message.ack.sequence, message.ack.failures);
    else if (message.oneofKind === 'ping') this.ping(message.ping.number, message.ping.report);
    else if (message.oneofKind === 'mappingAnswer') this.answered(message.mappingAnswer);
  }

  private ping(number: number, report: AgentReport | undefined): void {
    this.last_ping_ms = this.fields.now();
    if (report !== undefined) this.report = report;
    this.fields.counted('pong', 1);
    this.fields.outlet.send({ message: { oneofKind: 'pong', pong: { number } } });
  }

  private acknowledge(sequence: number, failures: readonly Failure[]): void {
    if (sequence > this.sent) {
      this.end(`acknowledged ${sequence}, but only ${this.sent} were sent`);
      return;
    }
    for (const failure of failures) {
      const known = this.failures.get(failure.generation);
      if (known === undefined) this.failures.set(failure.generation, [failure]);
      else known.push(failure);
    }
    for (const oldest of this.failures.keys()) {
      if (this.failures.size <= failures_kept) break;
      this.failures.delete(oldest);
    }
    for (; this.acked < sequence; this.acked += 1) this.unacked_changes -= this.sizes.shift() ?? 0;
    if (this.pageWaiter !== undefined && this.pageWaiter.sequence <= this.acked) {
      const { resolve } = this.pageWaiter;
      this.pageWaiter = undefined;
      resolve();
    }
    this.settle();
  }

  /** Is everything up to the revision acknowledged? The caller has seen to it that the watch has processed it. */
  applied(revision: number): boolean {
    const first = this.items[0];
    return !this.ended && (first === undefined || first.revision > revision);
  }

  /** @throws SessionEnded */
  waitApplied(revision: number): Promise<void> {
    if (this.ended) return Promise.reject(new SessionEnded());
    if (this.applied(revision)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.waiters.push({ revision, resolve, reject });
    });
  }

  failuresAt(generation: number): readonly Failure[] {
    return this.failures.get(generation) ?? [];
  }

  private settle(): void {
    const { items } = this;
    let complete = 0;
    for (let item = items[0]; item?.sequence !== undefined && item.sequence <= this.acked; item = items[complete]) {
      complete += 1;
    }
    if (complete === 0) return;
    items.splice(0, complete);
    if (this.waiters.length === 0) return;
    const ready = this.waiters.filter(({ revision }) => this.applied(revision));
    if (ready.length === 0) return;
    this.waiters = this.waiters.filter(({ revision }) => !this.applied(revision));
    for (const { resolve } of ready) resolve();
  }

  /** Asks the host's kernel map. @throws SessionEnded, or Error after the time */
  ask(vni: number, ip: string, timeout_ms: number): Promise<MappingAnswer> {
    if (this.ended) return Promise.reject(new SessionEnded());
    this.asked += 1;
    const id = this.asked;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.questions.delete(id);
        reject(new Error(`host ${this.host} did not answer within ${timeout_ms} ms`));
      }, timeout_ms);
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      this.questions.set(id, { resolve: settled(resolve), reject: settled(reject) });
      this.fields.counted('mapping_query', 1);
      this.fields.outlet.send({ message: { oneofKind: 'mappingQuery', mappingQuery: { id, vni, ip } } });
    });
  }

  private answered(answer: MappingAnswer): void {
    this.questions.get(answer.id)?.resolve(answer);
    this.questions.delete(answer.id);
  }

  /** The agent is silent: whoever waits for it should look again whether to go on waiting. */
  abandonWaits(): void {
    for (const { reject } of this.waiters.splice(0)) reject(new SessionEnded('the agent is silent'));
  }

  /** Ends the stream and everything that waits for it; may be called twice. */
  end(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.queue.length = 0;
    this.fields.outlet.end(reason);
    const error = new SessionEnded(reason);
    for (const { reject } of this.waiters.splice(0)) reject(error);
    this.pageWaiter?.reject(error);
    for (const { reject } of this.questions.values()) reject(error);
    this.questions.clear();
  }
}
