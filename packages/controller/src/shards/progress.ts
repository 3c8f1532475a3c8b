import type { ServerWritableStream } from '@grpc/grpc-js';
import { MegrezError, type ShardJob, type ShardProgress, type SlotMove, SlotState } from '@megrez/model';
import type { Context } from '../context';
import { isAttached } from '../relay/attachment';
import { fleetOf, type NamedTable, type Scope, tableName, tablesIn } from './fleet';
import { hasEnded } from './jobs';
import { loadingHosts, type Move, movesOf } from './moves';
import { makePlan, reasonToPlan, wantedTarget } from './plan';

const moving_max = 256;
/** A watcher is told no more often. */
const tell_ms = 100;
const look_ms = 1_000;

export const slotMove = ({ vpc, subnet }: NamedTable, { slot, from, to, state }: Move, why: string): SlotMove => ({
  vpc,
  subnet,
  slot,
  from,
  to,
  state,
  why,
});

/** What a watcher sees, and whether that was the last. */
export interface Progress {
  readonly progress: ShardProgress;
  readonly ended: boolean;
}

/** Of a job as the mirror has it. A job that is forgotten has ended. */
export const progressOfJob = (context: Context, stored: ShardJob): Progress => {
  const job = context.shards.jobs.get(stored.id)?.value ?? stored;
  const mine = tablesIn(context, everything).filter(({ key }) => context.shards.plans.get(key)?.value.job === job.id);
  const { remaining, moving, waiting, open } = look(context, mine);
  const ended = hasEnded(job);
  return {
    ended,
    progress: {
      total: job.total,
      done: ended && remaining === 0 ? job.total : Math.max(0, job.total - remaining),
      moving: moving.slice(0, moving_max),
      job,
      tablesTotal: job.tables,
      tablesDone: Math.max(0, job.tables - open),
      waiting: ended ? [] : waiting,
    },
  };
};

const everything: Scope = { vpc: '', subnet: '' };

/** Follows everything that moves in a scope; totals are of what was seen to move since it began. */
export const scopeWatcher = (context: Context, scope: Scope): (() => Progress) => {
  const totals = new Map<string, number>();
  return () => {
    const tables = tablesIn(context, scope);
    const { remaining, moving, waiting, open, byTable } = look(context, tables);
    for (const [key, left] of byTable) totals.set(key, Math.max(left, totals.get(key) ?? 0));
    const total = [...totals.values()].reduce((sum, moves) => sum + moves, 0);
    return {
      ended: open === 0 && !tables.some((named) => isDue(context, named)),
      progress: {
        total,
        done: total - remaining,
        moving: moving.slice(0, moving_max),
        tablesTotal: totals.size,
        tablesDone: totals.size - open,
        waiting,
      },
    };
  };
};

/** The leader is about to plan the table, having been asked for something else. */
const isDue = (context: Context, { key, view, wish }: NamedTable): boolean => {
  const hosts = fleetOf(context);
  const plan = context.shards.plans.get(key)?.value;
  const why = reasonToPlan(view.value, plan, wish, hosts);
  return why !== undefined && makePlan({ table: view.value, plan, wish, hosts, why, job: 0 }) !== undefined;
};

const look = (context: Context, tables: readonly NamedTable[]) => {
  const moving: SlotMove[] = [];
  const waiting: string[] = [...(context.shards.waiting.get('') ?? [])];
  const byTable = new Map<string, number>();
  let remaining = 0;
  for (const named of tables) {
    const { key, view } = named;
    const plan = context.shards.plans.get(key)?.value;
    const moves = movesOf(view.value, wantedTarget(view.value, plan));
    const active = plan?.settled === false;
    if (!active && moves.length === 0) continue;
    byTable.set(key, moves.length);
    remaining += moves.length;
    for (const move of moves) {
      if (move.state !== SlotState.UNSPECIFIED) moving.push(slotMove(named, move, plan?.why ?? ''));
    }
    const away = loadingHosts(view.value).filter((host) => !isAttached(context, host));
    for (const host of away) waiting.push(`${host} is detached: it cannot load its slots of ${tableName(named)}.`);
    waiting.push(...(context.shards.waiting.get(key) ?? []));
  }
  return { moving, waiting, remaining, open: byTable.size, byTable };
};

/** Writes what is new until the end, or until the caller hangs up. */
export const follow = async (
  context: Context,
  call: ServerWritableStream<unknown, ShardProgress>,
  read: () => Progress,
): Promise<void> => {
  let told = '';
  while (!call.cancelled) {
    if (context.closing.aborted) throw stopping();
    const { progress, ended } = read();
    const text = JSON.stringify(progress);
    // Who does not read is told how things are when it does, not how they were.
    if (text !== told && (ended || !call.writableNeedDrain)) {
      call.write(progress);
      told = text;
    }
    if (ended) break;
    await context.mirror.changed.next(look_ms);
    await new Promise((resolve) => setTimeout(resolve, tell_ms));
  }
  call.end();
};

const stopping = (): MegrezError =>
  new MegrezError({
    code: 'UNAVAILABLE',
    reason: 'CONTROLLER_STOPS',
    object: 'shards',
    message: 'this controller stops; what was asked for goes on: watch it at another one',
  });
