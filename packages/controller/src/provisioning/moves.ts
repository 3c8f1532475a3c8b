import { MegrezError, objectName } from '@megrez/model';
import type { Context } from '../context';
import { semaphore } from '../support/semaphore';
import { keysOf } from './endpoint-draft';
import { drive } from './endpoint-move';

const sweep_ms = 2_000;
/** A move that makes progress is left to who asked for it. */
const settle_ms = 3_000;
const wait_ms = 2_000;
const concurrent = 16;

/**
 * Goes on with moves that nobody drives any more: their caller gave up, or its controller ended. Every controller does;
 * the steps' conditions let each be taken once. Asks nothing of the store while no endpoint moves.
 */
export const sweepMoves = (context: Context): { stop(): void } => {
  const seen = new Map<string, { readonly revision: number; readonly since_ms: number }>();
  let running = false;
  const sweep = async (): Promise<void> => {
    const { moves } = context.mirror;
    const now = performance.now();
    for (const id of seen.keys()) if (!moves.has(id)) seen.delete(id);
    const idle: string[] = [];
    for (const [id, { revision }] of moves) {
      const known = seen.get(id);
      if (known?.revision !== revision) seen.set(id, { revision, since_ms: now });
      else if (now - known.since_ms > settle_ms) idle.push(id);
    }
    const gate = semaphore(concurrent);
    await Promise.all(idle.map((id) => gate(() => goOn(context, id))));
  };
  const timer = setInterval(() => {
    if (running) return;
    running = true;
    sweep()
      .catch((error: unknown) => context.log.warn({ err: error }, 'moves could not be gone on with'))
      .finally(() => {
        running = false;
      });
  }, sweep_ms);
  return { stop: () => clearInterval(timer) };
};

const goOn = async (context: Context, id: string): Promise<void> => {
  const index = context.mirror.moves.get(id);
  if (index === undefined) return;
  const { vpc, subnet, name } = index.value;
  const object = objectName.endpoint(vpc, subnet, name);
  const read = async () => {
    const entry = await context.store.get(keysOf(index.value).endpoint);
    if (entry !== undefined) return entry;
    throw new MegrezError({ code: 'NOT_FOUND', reason: 'ENDPOINT_NOT_FOUND', object, message: `${object} is gone` });
  };
  try {
    const { host, movingTo } = (await read()).value;
    const target = movingTo === '' ? host : movingTo;
    const deadline_ms = performance.now() + wait_ms;
    await drive(
      context,
      { object, target, attachment: undefined, force: false, deadline_ms, timeout_ms: wait_ms },
      read,
    );
    context.log.info({ object, host: target }, 'a move that nobody drove was completed');
  } catch (error) {
    if (!(error instanceof MegrezError)) throw error;
    context.log.debug({ object, reason: error.reason }, 'a move goes on later');
  }
};
