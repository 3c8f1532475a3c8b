import { setTimeout } from 'node:timers/promises';
import { rowKey } from '@megrez/plan';
import type { Rows } from './rows';

/** Nothing sent or received for this long: what had come in is answered. */
const quiet_ms = 10;
/** An endpoint that goes on sending at its old host is not waited for any longer. */
const patience_ms = 50;
const step_ms = 2;

/**
 * An endpoint that moved has packets at its old host that nobody can pass on any more: they are in its namespace already.
 * Resolves when it has answered them. Its row in `endpoints` is gone by then, that in `ports` is there still.
 */
export const answersSent = async (rows: Rows, ifindex: number): Promise<void> => {
  const read = () => rows.lookup(rowKey('traffic', { ifindex }));
  const deadline = performance.now() + patience_ms;
  let last = read();
  let changed_at = performance.now();
  while (last !== undefined && performance.now() < deadline) {
    await setTimeout(step_ms);
    const now = read();
    if (now === undefined || !now.equals(last)) changed_at = performance.now();
    else if (performance.now() - changed_at >= quiet_ms) return;
    last = now;
  }
};
