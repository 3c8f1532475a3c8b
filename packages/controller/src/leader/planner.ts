/** Plans tables anew when an owner must go, or somebody wishes something else. New hosts alone move nothing. */

import { JobKind, type SlotPlan } from '@megrez/model';
import { type Compare, keys, type Operation } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { fleetOf, type NamedTable, namedTable } from '../shards/fleet';
import { hasEnded } from '../shards/jobs';
import { type FleetHost, makePlan, ownersIn, reasonToPlan, wantedTarget } from '../shards/plan';
import type { Term } from './election';
import type { Health } from './health';

export interface Planner {
  /** One look at every table. */
  run(): Promise<void>;
}

export const planner = (context: Context, term: Term, health: Health): Planner => {
  const { mirror, shards, log } = context;
  /**
   * By table: what was looked at when there was nothing to do, or nothing better was found. There is a look for every
   * endpoint that is created: it must not cost as much as there are tables and hosts.
   */
  const fruitless = new Map<string, string>();
  /** Counts how often the fleet has changed, as far as it matters to a look. */
  let fleet = { number: 0, text: '' };

  const numberOf = (hosts: ReadonlyMap<string, FleetHost>): number => {
    const text = [...hosts.values()]
      .map((host) => [host.name, host.eligible, host.attached, host.gone].join())
      .join(' ');
    if (text !== fleet.text) fleet = { number: fleet.number + 1, text };
    return fleet.number;
  };

  const plan = async (named: NamedTable, hosts: ReadonlyMap<string, FleetHost>, state: number): Promise<void> => {
    const { key, view, wish } = named;
    const present = shards.plans.get(key);
    const table = view.value;
    const looked = `${view.revision} ${present?.revision} ${JSON.stringify(wish)} ${state}`;
    if (fruitless.get(key) === looked) return;
    const why = reasonToPlan(table, present?.value, wish, hosts);
    if (why === undefined) {
      fruitless.set(key, looked);
      return;
    }
    const job = jobFor(named, present, hosts);
    const made = makePlan({ table, plan: present?.value, wish, hosts, why, job });
    const operation = change(table, present, made);
    if (operation === undefined) {
      fruitless.set(key, looked);
      return;
    }
    const result = await term.write(planCompares(view, present), [operation]);
    if (result.succeeded && made !== undefined) log.info({ table: key, why, moves: made.total }, 'slots are to move');
  };

  /** A drained host's slots go on account of its drain; what replaces a plan goes on for the plan's job. */
  const jobFor = (
    { view }: NamedTable,
    present: Stored<SlotPlan> | undefined,
    hosts: ReadonlyMap<string, FleetHost>,
  ): number => {
    const owners = ownersIn(wantedTarget(view.value, present?.value));
    const drain = [...shards.jobs.values()].find(
      ({ value }) =>
        value.kind === JobKind.DRAIN && !hasEnded(value) && owners.has(value.host) && !hosts.get(value.host)?.eligible,
    );
    if (drain !== undefined) return drain.value.id;
    return present === undefined || present.value.settled ? 0 : present.value.job;
  };

  return {
    run: async () => {
      const hosts = fleetOf(context, health.dead);
      const state = numberOf(hosts);
      for (const key of fruitless.keys()) if (!mirror.tables.has(key)) fruitless.delete(key);
      for (const key of mirror.tables.keys()) {
        if (term.over.aborted) return;
        const named = namedTable(mirror, key);
        if (named !== undefined) await plan(named, hosts, state);
      }
      for (const [key, { value, revision }] of shards.plans) {
        if (mirror.tables.has(key)) continue;
        const orphan = keys.slotPlan(value.vni, value.subnet);
        await term.write(
          [
            { kind: 'revision', key: orphan, revision },
            { kind: 'absent', key: keys.slots(value.vni, value.subnet) },
          ],
          [{ kind: 'remove', key: orphan }],
        );
      }
    },
  };
};

/** The table and its plan are as they were looked at. */
export const planCompares = (
  { value: { vni, subnet }, revision }: NamedTable['view'],
  plan: Stored<SlotPlan> | undefined,
): Compare[] => {
  const key = keys.slotPlan(vni, subnet);
  return [
    { kind: 'revision', key: keys.slots(vni, subnet), revision },
    plan === undefined ? { kind: 'absent', key } : { kind: 'revision', key, revision: plan.revision },
  ];
};

const change = (
  { vni, subnet }: NamedTable['view']['value'],
  present: Stored<SlotPlan> | undefined,
  made: SlotPlan | undefined,
): Operation | undefined => {
  const key = keys.slotPlan(vni, subnet);
  if (made !== undefined) return { kind: 'put', key, value: made };
  // All is as it is wished: what said otherwise has had its day.
  return present === undefined ? undefined : { kind: 'remove', key };
};
