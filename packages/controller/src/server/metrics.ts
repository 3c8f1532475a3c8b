import type { Store } from '@megrez/store';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds, from half a millisecond on. */
const buckets = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Of one controller; two in one process do not share a registry. */
export const createMetrics = () => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    calls: new Histogram({
      name: 'megrez_api_call_seconds',
      help: 'Time of API calls by method and code',
      labelNames: ['method', 'code'] as const,
      buckets,
      registers,
    }),
    creation: new Histogram({
      name: 'megrez_endpoint_creation_seconds',
      help: 'From the request to the last acknowledgement of a created endpoint',
      buckets,
      registers,
    }),
    applyWait: new Histogram({
      name: 'megrez_apply_wait_seconds',
      help: 'From the txn to the acknowledgements of all hosts concerned',
      buckets,
      registers,
    }),
    messages: new Counter({
      name: 'megrez_session_messages_total',
      help: 'Messages sent to agents by kind',
      labelNames: ['kind'] as const,
      registers,
    }),
    sessions: new Gauge({ name: 'megrez_sessions', help: 'Agents connected to this controller', registers }),
    watchRevision: new Gauge({ name: 'megrez_watch_revision', help: 'etcd revision processed', registers }),
    watchBatches: new Counter({ name: 'megrez_watch_batches_total', help: 'Batches of the watch', registers }),
    retries: new Counter({
      name: 'megrez_txn_retries_total',
      help: 'Transactions whose conditions had changed meanwhile',
      registers,
    }),
  };
};

export type Metrics = ReturnType<typeof createMetrics>;

/** What the store counts itself, read when somebody asks. */
export const exposeStore = ({ registry }: Metrics, store: Store, silent_ms: () => number): void => {
  const operations = new Gauge({
    name: 'megrez_store_operations',
    help: 'etcd operations by kind since the start',
    labelNames: ['kind'] as const,
    registers: [],
    collect(this: Gauge) {
      for (const [kind, count] of Object.entries(store.counters)) this.set({ kind }, count);
    },
  });
  const silence = new Gauge({
    name: 'megrez_watch_silent_seconds',
    help: 'Since the watch last proved that it is alive',
    registers: [],
    collect(this: Gauge) {
      this.set(silent_ms() / 1_000);
    },
  });
  registry.registerMetric(operations);
  registry.registerMetric(silence);
};
