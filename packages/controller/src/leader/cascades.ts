import type { Context } from '../context';
import { removeSubnet } from '../provisioning/subnet-delete';
import { deleteVpc } from '../provisioning/vpc';

/** Left alone so long, a deletion has lost its caller; taken up once too often it does no harm. */
const patience_ms = 15_000;
const turn_ms = 60_000;

/** Goes on with deletions of subnets and VPCs that another controller began. */
export const resumeCascades = (context: Context): { run(now_ms: number): void } => {
  const { mirror, log } = context;
  const seen = new Map<string, number>();
  let running = false;
  const due = (now_ms: number): (() => Promise<unknown>) | undefined => {
    const found = new Set<string>();
    let next: (() => Promise<unknown>) | undefined;
    const consider = (object: string, task: () => Promise<unknown>): void => {
      found.add(object);
      const since = seen.get(object) ?? now_ms;
      seen.set(object, since);
      if (next !== undefined || now_ms - since < patience_ms) return;
      seen.set(object, now_ms);
      next = () => {
        log.info({ object }, 'a deletion that was left half-way goes on');
        return task();
      };
    };
    const call = { deadline_ms: performance.now() + turn_ms };
    for (const { value } of mirror.vpcs.values()) {
      if (value.meta?.deleting !== true) continue;
      consider(`vpc ${value.name}`, () => deleteVpc(context, { name: value.name, cascade: true }, call));
    }
    for (const { value } of mirror.subnets.values()) {
      if (value.meta?.deleting !== true) continue;
      consider(`subnet ${value.vpc}/${value.name}`, () => removeSubnet(context, value, true, call));
    }
    for (const object of seen.keys()) if (!found.has(object)) seen.delete(object);
    return next;
  };
  return {
    run: (now_ms) => {
      if (running) return;
      const task = due(now_ms);
      if (task === undefined) return;
      running = true;
      task()
        .catch((error: unknown) => log.warn({ err: error }, 'a deletion stays half-way for now'))
        .finally(() => {
          running = false;
        });
    },
  };
};
