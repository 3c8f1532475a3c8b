import { keys } from '@megrez/store';
import type { Context } from '../context';
import { waitTable } from '../relay/wait-table';
import { leavingHosts, loadingHosts, stubsOf } from '../shards/moves';
import { forget } from '../shards/steps';
import type { Term } from './election';

/** A stub outlives by this what packets may still be under way to it. */
const linger_ms = 5_000;
const wait_ms = 500;

/** Forgets owners that hold nothing any more, once everybody who might still ask them knows better. */
export const stubKeeper = (context: Context, term: Term): { run(now_ms: number): Promise<void> } => {
  /** By table: when to look at it (again). */
  const due = new Map<string, { readonly revision: number; readonly at_ms: number }>();
  return {
    run: async (now_ms) => {
      const { mirror, shards } = context;
      for (const key of due.keys()) if (!mirror.tables.has(key)) due.delete(key);
      for (const [key, { value, revision }] of mirror.tables) {
        if (term.over.aborted) return;
        const known = due.get(key);
        if (known?.revision !== revision) due.set(key, { revision, at_ms: now_ms + linger_ms });
        if (known === undefined || known.revision !== revision || known.at_ms > now_ms) continue;
        due.set(key, { revision, at_ms: now_ms + linger_ms });
        const stubs = stubsOf(value);
        if (stubs.length === 0 || loadingHosts(value).length + leavingHosts(value).length > 0) continue;
        if (shards.plans.get(key)?.value.settled === false) continue;
        const { vni, subnet } = value;
        const { late, unattached } = await waitTable(context, vni, subnet, revision, performance.now() + wait_ms);
        if (late.length > 0) continue;
        const ignorant = [...unattached, ...unheard(context, vni)];
        // What a stub itself does not know sends nobody to it.
        const idle = stubs.filter((stub) => ignorant.every((host) => host === stub));
        const next = forget(value, new Set(idle));
        if (next === value) continue;
        const table = keys.slots(vni, subnet);
        await term.write(
          [{ kind: 'revision', key: table, revision }],
          [{ kind: 'put', key: table, value: { ...next, generation: 0 } }],
        );
      }
    },
  };
};

/** Hosts that have not heard of the deletion of an endpoint in the VPC: they still serve it, and ask for it. */
const unheard = ({ mirror }: Context, vni: number): readonly string[] =>
  [...mirror.held.values()].flatMap(({ value }) => (value.endpoint?.vni === vni ? value.hosts : []));
