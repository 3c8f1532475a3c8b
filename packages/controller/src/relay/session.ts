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
import { acknowledgements, type Item } from './acknowledgements';
import { attached_ms } from './attachment';
import type { HostEvents } from './events';
import { type Knowledge, knowledge, type Load, type Step } from './knowledge';
import { questions } from './questions';
import type { Listener } from './route';
import { SessionEnded } from './session-ended';

/** A batch is at most this heavy, so that no message is too large; of a load one batch is under way at a time. */
const page_weight = 4_000;
/** A table has 256 slots, a service 1,021 buckets. */
const weightOf = ({ object }: Change): number =>
  object.oneofKind === 'table' ? 32 : object.oneofKind === 'service' ? 16 : 2;
/** A session that leaves more than this unacknowledged, or waiting behind a load, is ended and resynchronises. */
const queue_limit = 50_000;

/** What carries a session: the server's side of the stream. */
export interface Outlet {
  send(message: SessionResponse): void;
  end(reason: string): void;
}

export interface SessionFields {
  readonly host: string;
  readonly address: string;
  readonly outlet: Outlet;
  /** Reads what a load asks for. */
  readonly read: (load: Load, session: Session) => AsyncIterable<readonly Change[]>;
  readonly counted: (kind: string) => void;
  readonly report: AgentReport | undefined;
}

interface Queued {
  readonly item: Item;
  readonly steps: () => readonly Step[];
  readonly size: number;
}

/** One agent's stream: turns events into numbered messages and keeps their order while the store is being read. */
export class Session implements Listener {
  readonly id = randomUUID();
  readonly host: string;
  readonly address: string;
  readonly know: Knowledge;
  /** mod_revision of this session's record in the store. */
  record_revision = 0;
  /** performance.now() */
  last_ping_ms = performance.now();
  report: AgentReport | undefined;
  ended = false;
  /** Endpoint events up to this revision are in the snapshot already. */
  floor = 0;
  readonly #fields: SessionFields;
  readonly #acks = acknowledgements();
  readonly #questions;
  readonly #queue: Queued[] = [];
  #queued_changes = 0;
  #running = false;

  constructor(fields: SessionFields) {
    this.#fields = fields;
    this.host = fields.host;
    this.address = fields.address;
    this.report = fields.report;
    this.know = knowledge(fields.host);
    this.#questions = questions(fields.host);
  }

  get loading(): boolean {
    return this.#running;
  }

  knows(subnet: string): boolean {
    return this.know.knows(subnet);
  }

  knowsVpc(vni: number): boolean {
    return this.know.knowsVpc(vni);
  }

  holds(table: string): boolean {
    return this.know.holds(table);
  }

  /** The first thing a session does: everything the host must know, from one revision. */
  start(): void {
    this.#enqueue(0, 1, () => [{ kind: 'load', load: { kind: 'snapshot' } }]);
    this.#flush();
  }

  /** Everything of one watch batch; unless the store must be read, it goes as one message. */
  deliver(groups: readonly HostEvents[]): void {
    for (const { revision, events } of groups) {
      this.#enqueue(revision, events.length, () => this.know.steps(events, revision, this.floor));
    }
    this.#flush();
  }

  #enqueue(revision: number, size: number, steps: () => readonly Step[]): void {
    if (this.ended) return;
    this.#queue.push({ item: this.#acks.begin(revision), steps, size });
    this.#queued_changes += size;
    if (this.#queued_changes + this.#acks.outstanding > queue_limit) {
      this.end('the session lags behind: it starts again');
    }
  }

  /** Sends what is queued, unless a load is under way (which does so when it is complete). */
  #flush(): void {
    if (this.#running || this.ended) return;
    const changes: Change[] = [];
    const done: Item[] = [];
    let revision = 0;
    for (let entry = this.#queue.shift(); entry !== undefined; entry = this.#queue.shift()) {
      this.#queued_changes -= entry.size;
      const steps = entry.steps();
      const load = steps.findIndex(({ kind }) => kind === 'load');
      for (const step of load === -1 ? steps : steps.slice(0, load)) {
        if (step.kind === 'change') changes.push(step.change);
      }
      if (load !== -1) {
        this.#send(changes, revision);
        this.#acks.complete(done);
        void this.#run(entry.item, steps.slice(load));
        return;
      }
      revision = entry.item.revision;
      done.push(entry.item);
    }
    this.#send(changes, revision);
    this.#acks.complete(done);
  }

  async #run(item: Item, steps: readonly Step[]): Promise<void> {
    this.#running = true;
    try {
      for (const step of steps) {
        if (step.kind === 'change') this.#send([step.change], item.revision);
        else await this.#load(step.load);
      }
    } catch (error) {
      this.end(`what the host must know could not be read: ${(error as Error).message}`);
      return;
    } finally {
      this.#running = false;
    }
    this.#acks.complete([item]);
    this.#flush();
  }

  async #load(load: Load): Promise<void> {
    const snapshot = load.kind === 'snapshot';
    let page: Change[] = [];
    let weight = 0;
    for await (const changes of this.#fields.read(load, this)) {
      for (const change of changes) {
        page.push(change);
        weight += weightOf(change);
        if (weight < page_weight) continue;
        await this.#acks.waitSequence(this.#page(page, load, false));
        page = [];
        weight = 0;
      }
    }
    // A snapshot has an end also when nothing is left: it is what allows pruning.
    if (snapshot) this.#page(page, load, true);
    else if (page.length > 0) await this.#acks.waitSequence(this.#page(page, load, false));
  }

  #page(changes: Change[], load: Load, snapshotEnd: boolean): number {
    if (this.ended) throw new SessionEnded();
    const revision = load.kind === 'slots' ? load.revision : this.floor;
    return this.#write({ changes, snapshot: load.kind === 'snapshot', snapshotEnd, revision });
  }

  #send(changes: Change[], revision: number): void {
    let start = 0;
    let weight = 0;
    for (const [n, change] of changes.entries()) {
      weight += weightOf(change);
      if (weight < page_weight && n < changes.length - 1) continue;
      this.#write({ changes: changes.slice(start, n + 1), snapshot: false, snapshotEnd: false, revision });
      start = n + 1;
      weight = 0;
    }
  }

  #write(batch: Omit<Batch, 'sequence'>): number {
    const sequence = this.#acks.number(batch.changes.length);
    this.#fields.counted(batch.snapshot ? 'snapshot' : 'delta');
    this.#fields.outlet.send({ message: { oneofKind: 'batch', batch: { sequence, ...batch } } });
    return sequence;
  }

  receive({ message }: SessionRequest): void {
    if (this.ended) return;
    if (message.oneofKind === 'ack') {
      const { sequence, failures } = message.ack;
      if (this.#acks.acknowledge(sequence, failures)) return;
      this.end(`message ${sequence} was acknowledged, but only ${this.#acks.sent} were sent`);
    } else if (message.oneofKind === 'ping') {
      // Others have left the host out of what they waited for: attached, it would deny what it has not been told.
      if (performance.now() - this.last_ping_ms >= attached_ms) {
        this.end('the host was detached');
        return;
      }
      this.last_ping_ms = performance.now();
      this.report = message.ping.report ?? this.report;
      this.#fields.counted('pong');
      this.#fields.outlet.send({ message: { oneofKind: 'pong', pong: { number: message.ping.number } } });
    } else if (message.oneofKind === 'mappingAnswer') {
      this.#questions.answered(message.mappingAnswer);
    }
  }

  /** Everything up to the revision is in the host's kernel; the watch must have processed it. @throws SessionEnded */
  waitApplied(revision: number): Promise<void> {
    return this.#acks.waitApplied(revision);
  }

  failuresAt(generation: number): readonly Failure[] {
    return this.#acks.failuresAt(generation);
  }

  /** Asks the host's kernel map. @throws SessionEnded, or Error after the time */
  ask(vni: number, ip: string, timeout_ms: number): Promise<MappingAnswer> {
    if (this.ended) return Promise.reject(new SessionEnded('the session ended'));
    return this.#questions.ask((id) => {
      this.#fields.counted('mapping_query');
      this.#fields.outlet.send({ message: { oneofKind: 'mappingQuery', mappingQuery: { id, vni, ip } } });
    }, timeout_ms);
  }

  /** The agent is silent: whoever waits for it should look again whether to go on waiting. */
  abandonWaits(): void {
    this.#acks.abandon(new SessionEnded('the agent is silent'));
  }

  /** Ends the stream and everything that waits for it; may be called twice. */
  end(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.#queue.length = 0;
    this.#fields.outlet.end(reason);
    const error = new SessionEnded(reason);
    this.#acks.end(error);
    this.#questions.end(error);
  }
}
