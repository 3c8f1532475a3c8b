/** What creations cost in operations, and where their time goes, by everybody's own counters. */
import { readMetrics, type Sample } from '@megrez/dev';
import { type Control, create, managed, remove } from './control';

/** Per creation. */
export interface Counts {
  readonly etcd: number;
  readonly messages: number;
  readonly writes: number;
  /** In the controller, from the request to the last acknowledgement. */
  readonly creation_ms: number;
  /** Of it, from the txn's answer on. */
  readonly wait_ms: number;
  /** In the agent of the endpoint's host, interface included, and in that of a bouncer: from message to acknowledgement. */
  readonly host_ms: number;
  readonly owner_ms: number;
}

/** What happens without any creation, too: heartbeats, leases. */
const isRegular = ({ name, labels }: Sample) =>
  (name === 'megrez_session_messages_total' && /ping|pong/i.test(labels.kind ?? '')) ||
  (name === 'megrez_store_operations' && !(labels.kind ?? '').startsWith('requests_')) ||
  (name === 'megrez_map_writes_total' && labels.map === 'attached');

const sum = (samples: readonly Sample[], name: string) =>
  samples.filter((sample) => sample.name === name && !isRegular(sample)).reduce((total, { value }) => total + value, 0);

async function read({ controller, agents }: Control): Promise<Counts> {
  const [own, ...theirs] = await Promise.all([controller, ...agents].map(readMetrics));
  const [host, owner] = theirs;
  return {
    creation_ms: 1000 * sum(own ?? [], 'megrez_endpoint_creation_seconds_sum'),
    wait_ms: 1000 * sum(own ?? [], 'megrez_apply_wait_seconds_sum'),
    host_ms: 1000 * sum(host ?? [], 'megrez_apply_seconds_sum'),
    owner_ms: 1000 * sum(owner ?? [], 'megrez_apply_seconds_sum'),
    etcd: sum(own ?? [], 'megrez_store_operations'),
    messages: sum(own ?? [], 'megrez_session_messages_total'),
    writes: theirs.reduce((total, samples) => total + sum(samples, 'megrez_map_writes_total'), 0),
  };
}

/** Counts of `creations` endpoints with an interface, one after the other, per creation; they are deleted again. */
export async function countCreations(control: Control, creations: number): Promise<Counts> {
  const before = await read(control);
  for (let i = 0; i < creations; i += 1) await create(control, `counted-${i}`, 'h1', managed);
  const after = await read(control);
  for (let i = 0; i < creations; i += 1) await remove(control, `counted-${i}`);
  const per = (name: keyof Counts) => (after[name] - before[name]) / creations;
  return {
    ...{ etcd: per('etcd'), messages: per('messages'), writes: per('writes') },
    ...{ creation_ms: per('creation_ms'), wait_ms: per('wait_ms'), host_ms: per('host_ms'), owner_ms: per('owner_ms') },
  };
}
