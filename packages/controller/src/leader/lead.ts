/** What one controller does for all: slots, backends of dead hosts, and what others have left half-way. */
import type { Context } from '../context';
import type { TableView } from '../mirror';
import type { ShardOptions } from '../options';
import { hasEnded, isActive } from '../shards/jobs';
import { leavingHosts, loadingHosts } from '../shards/moves';
import { keepBackends } from './backends';
import { resumeCascades } from './cascades';
import type { Term } from './election';
import type { Health } from './health';
import { runJobs } from './jobs';
import { moveTable } from './mover';
import { pace } from './pace';
import { planner } from './planner';
import { stubKeeper } from './stubs';

const look_ms = 500;
/** After a step that failed, for instance because etcd did not answer. */
const retry_ms = 500;
const concurrent_tables = 16;

/** Leads until the term is over. Everything it needs is in the store, so that it may end between any two writes. */
export const lead = async (context: Context, term: Term, health: Health, options: ShardOptions): Promise<void> => {
  const { mirror, log } = context;
  const plans = planner(context, term, health);
  const stubs = stubKeeper(context, term);
  const cascades = resumeCascades(context);
  const backends = keepBackends(context, term, options);
  const moving = new Map<string, Promise<void>>();
  const fields = { context, term, pace: pace(options.move_entries_per_second) };

  const start = (key: string, { value: { vni, subnet } }: TableView): void => {
    const run = moveTable(fields, vni, subnet)
      .catch(async (error: unknown) => {
        log.warn({ err: error, table: key }, 'the slots of a table stay where they are for now');
        await new Promise((resolve) => setTimeout(resolve, retry_ms));
      })
      .finally(() => {
        moving.delete(key);
        context.shards.waiting.delete(key);
      });
    moving.set(key, run);
  };

  /** Beside everything else: it waits for every user of a table, and one slow host must not hold up the others' slots. */
  let keeping: Promise<void> | undefined;
  const keepStubs = (): void => {
    keeping ??= stubs
      .run(performance.now())
      .catch((error: unknown) => log.warn({ err: error }, 'owners without slots stay listed for now'))
      .finally(() => {
        keeping = undefined;
      });
  };

  while (!term.over.aborted) {
    const seen = mirror.revision;
    try {
      await health.observe(performance.now());
      tellVanished(context, health);
      await runJobs(context, term, health);
      await plans.run();
      for (const [key, view] of mirror.tables) {
        if (moving.size >= concurrent_tables) break;
        if (!moving.has(key) && isMoving(context, key, view)) start(key, view);
      }
      keepStubs();
      cascades.run(performance.now());
      backends.run(performance.now());
    } catch (error) {
      log.warn({ err: error }, 'a round of the leader was interrupted');
      await mirror.changed.next(retry_ms);
    }
    if (mirror.revision === seen) await mirror.changed.next(look_ms);
  }
  await Promise.all([...moving.values(), keeping]);
  context.shards.waiting.clear();
};

const tellVanished = ({ shards }: Context, { vanished }: Health): void => {
  if (vanished.length === 0) {
    shards.waiting.delete('');
    return;
  }
  const names =
    vanished.length > 5 ? `${vanished.slice(0, 5).join(', ')} and ${vanished.length - 5} more` : vanished.join(', ');
  shards.waiting.set('', [
    `${names} vanished together, too many to be believed dead: bring them back, or drain those that are lost for good.`,
  ]);
};

const inMotion = new WeakMap<TableView, boolean>();

/** Slots of the table are on their way, or shall be. */
const isMoving = ({ shards }: Context, key: string, view: TableView): boolean => {
  const plan = shards.plans.get(key)?.value;
  const job = plan && shards.jobs.get(plan.job)?.value;
  if (plan?.settled === false && (job === undefined || isActive(job) || hasEnded(job))) return true;
  const known = inMotion.get(view) ?? loadingHosts(view.value).length + leavingHosts(view.value).length > 0;
  inMotion.set(view, known);
  return known;
};
