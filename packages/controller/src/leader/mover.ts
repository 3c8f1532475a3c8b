/**
 * Drives the slots of one table to where its plan wants them, one transaction per step. What comes next follows from the
 * table and the plan in the store alone, so that any leader goes on where another one stopped.
 */
import { JobKind, type SlotPlan, SlotState, type SlotTable } from '@megrez/model';
import { type Compare, type Entry, keys, type Operation, prefixes } from '@megrez/store';
import type { Context } from '../context';
import { type Stored, subnetKey } from '../mirror';
import { waitHosts } from '../relay/readiness';
import { waitTable } from '../relay/wait-table';
import { isActive } from '../shards/jobs';
import { isSettled, loadingHosts, type Move, movesOf, type Target } from '../shards/moves';
import { wantedTarget } from '../shards/plan';
import { abandon, load, retire, serve } from '../shards/steps';
import { semaphore } from '../support/semaphore';
import type { Term } from './election';
import type { Pace } from './pace';

export interface MoverFields {
  readonly context: Context;
  readonly term: Term;
  readonly pace: Pace;
}

/** So long a step waits for hosts before it looks again whether the plan is still the same. */
const look_ms = 500;
const concurrent_counts = 16;

interface View {
  readonly table: Entry<SlotTable>;
  readonly plan: Entry<SlotPlan> | undefined;
  readonly target: Target;
  readonly paused: boolean;
}

/** Returns when nothing is left to do, or nothing may be done for now. */
export const moveTable = async (fields: MoverFields, vni: number, subnet: number): Promise<void> => {
  const { context, term } = fields;
  while (!term.over.aborted) {
    const view = await read(context, vni, subnet);
    if (view === undefined || !(await step(fields, view))) return;
  }
};

const read = async ({ store, shards }: Context, vni: number, subnet: number): Promise<View | undefined> => {
  const found = await store.getMany<SlotTable | SlotPlan>([
    keys.slots(vni, subnet),
    keys.slotPlan(vni, subnet),
  ] as never);
  const [table, plan] = found as [Entry<SlotTable> | undefined, Entry<SlotPlan> | undefined];
  if (table === undefined) return undefined;
  const job = plan === undefined ? undefined : shards.jobs.get(plan.value.job)?.value;
  const paused = job !== undefined && !isActive(job);
  return { table, plan, target: wantedTarget(table.value, plan?.value), paused };
};

/** False when there is nothing to do. */
const step = async (fields: MoverFields, view: View): Promise<boolean> => {
  const { context } = fields;
  const { table, target } = view;
  const addressOf = (host: string): string => {
    const address = context.mirror.hosts.get(host)?.value.address;
    if (address === undefined) throw new Error(`host ${host} does not exist any more`);
    return address;
  };
  const cleaned = abandon(table.value, target);
  if (cleaned !== table.value) return put(fields, view, cleaned);

  const loading = loadingHosts(table.value);
  if (loading.length > 0) {
    const late = await notApplied(context, loading, table.revision);
    tell(fields, view, [...late]);
    const coming = slotsWith(table.value, SlotState.LOADING);
    const served = serve(table.value, target, (host) => !late.has(host), addressOf, coming);
    if (served !== table.value) return put(fields, view, served);
    if (late.size > 0) return true;
    // Everybody has loaded, and yet slots wait: for holders whom a later plan wants there, and who must load, too.
  }
  if (!view.paused) {
    const roles = serve(table.value, target, () => false, addressOf);
    if (roles !== table.value) return put(fields, view, roles);
    const open = movesOf(table.value, target).filter(({ state }) => state !== SlotState.LEAVING);
    if (open.length > 0) {
      const batch = await nextBatch(fields, table, open);
      return put(fields, view, load(table.value, target, batch, addressOf));
    }
  }
  // Only now: who forgets rows is slow to acknowledge, and every step after it would wait for that.
  const leaving = slotsWith(table.value, SlotState.LEAVING);
  if (leaving.size > 0) {
    const { vni, subnet } = table.value;
    const { late } = await waitTable(context, vni, subnet, table.revision, performance.now() + look_ms);
    tell(fields, view, late);
    return late.length > 0 || put(fields, view, retire(table.value, await firstBatch(fields, table, leaving)));
  }
  return !view.paused && finish(fields, view);
};

const tell = ({ context: { shards } }: MoverFields, { table: { value } }: View, late: readonly string[]): void => {
  const key = subnetKey(value.vni, value.subnet);
  if (late.length === 0) shards.waiting.delete(key);
  else shards.waiting.set(key, [`Epoch ${value.epoch} of table ${key} is not confirmed yet by ${late.join(', ')}.`]);
};

const slotsWith = (table: SlotTable, state: SlotState): ReadonlySet<number> =>
  new Set(table.slots.flatMap(({ holders }, slot) => (holders.some((holder) => holder.state === state) ? [slot] : [])));

/** A host that is detached has not acknowledged. */
const notApplied = async (
  context: Context,
  hosts: readonly string[],
  revision: number,
): Promise<ReadonlySet<string>> => {
  const deadline_ms = performance.now() + look_ms;
  const { late } = await waitHosts(context, { hosts, required: new Set(hosts), revision, deadline_ms });
  return new Set(late);
};

interface Batch {
  readonly slots: ReadonlySet<number>;
  readonly entries: number;
}

/** As many slots as go at once, and at least one. */
const batchOf = async (
  { context, pace }: MoverFields,
  { value: { vni, subnet } }: Stored<SlotTable>,
  slots: readonly number[],
): Promise<Batch> => {
  const counts = await countEntries(context, vni, subnet, slots, pace.batch);
  const batch = new Set<number>();
  let entries = 0;
  for (const slot of slots) {
    const more = counts.get(slot) ?? 0;
    if (batch.size > 0 && entries + more > pace.batch) break;
    batch.add(slot);
    entries += more;
  }
  return { slots: batch, entries };
};

/** Of slots that are given up; forgetting rows takes an agent's time too, and creations there wait for it. */
const firstBatch = async (
  fields: MoverFields,
  table: Stored<SlotTable>,
  slots: ReadonlySet<number>,
): Promise<ReadonlySet<number>> => (await batchOf(fields, table, [...slots])).slots;

/** The slots that begin to load now; waits for their turn. */
const nextBatch = async (
  fields: MoverFields,
  table: Stored<SlotTable>,
  moves: readonly Move[],
): Promise<ReadonlySet<number>> => {
  const { context, term, pace } = fields;
  const { slots: batch, entries } = await batchOf(fields, table, [...new Set(moves.map(({ slot }) => slot))]);
  const wait_ms = pace.take(entries, performance.now());
  const end = performance.now() + wait_ms;
  while (!term.over.aborted && performance.now() < end) {
    await context.mirror.changed.next(Math.min(look_ms, end - performance.now()));
  }
  return batch;
};

/** Endpoints per slot; a table that is small as a whole is not counted slot by slot. Dividers load subnets, which are few. */
const countEntries = async (
  { store, mirror }: Context,
  vni: number,
  subnet: number,
  slots: readonly number[],
  enough: number,
): Promise<ReadonlyMap<number, number>> => {
  if (subnet === 0) {
    const each = (mirror.numbersOf.get(vni)?.size ?? 0) / 256;
    return new Map(slots.map((slot) => [slot, each]));
  }
  const all = await store.count(prefixes.endpoints(vni, subnet));
  if (all <= enough) return new Map(slots.map((slot, i) => [slot, i === 0 ? all : 0]));
  const gate = semaphore(concurrent_counts);
  const count = (slot: number): Promise<number> => gate(() => store.count(prefixes.endpoints(vni, subnet, slot)));
  return new Map(await Promise.all(slots.map(async (slot): Promise<[number, number]> => [slot, await count(slot)])));
};

const unchanged = ({ table, plan }: View): Compare[] => {
  const { vni, subnet } = table.value;
  const key = keys.slotPlan(vni, subnet);
  return [
    { kind: 'revision', key: keys.slots(vni, subnet), revision: table.revision },
    plan === undefined ? { kind: 'absent', key } : { kind: 'revision', key, revision: plan.revision },
  ];
};

/** A step; refused when the table or the plan has changed meanwhile, which is seen when they are read again. */
const put = async ({ context, term }: MoverFields, view: View, next: SlotTable): Promise<true> => {
  const { vni, subnet } = view.table.value;
  const key = keys.slots(vni, subnet);
  const result = await term.write(unchanged(view), [{ kind: 'put', key, value: { ...next, generation: 0 } }]);
  if (result.succeeded) {
    context.log.debug(
      { table: subnetKey(vni, subnet), epoch: next.epoch, revision: result.revision },
      'slots moved on',
    );
  }
  return true;
};

/** Slots that were moved by hand stay: the plan remains, to say so. */
const finish = async ({ term, context }: MoverFields, view: View): Promise<boolean> => {
  const { plan } = view;
  if (plan === undefined || plan.value.settled || !isSettled(view.table.value, view.target)) return false;
  const key = keys.slotPlan(plan.value.vni, plan.value.subnet);
  const byHand = context.shards.jobs.get(plan.value.job)?.value.kind === JobKind.MOVE;
  const operation: Operation = byHand
    ? { kind: 'put', key, value: { ...plan.value, settled: true } }
    : { kind: 'remove', key };
  return !(await term.write(unchanged(view), [operation])).succeeded;
};
