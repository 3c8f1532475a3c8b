import {
  type ListShardsRequest,
  type ListShardsResponse,
  type PlanRebalanceRequest,
  type PlanRebalanceResponse,
  type Shard,
  SlotState,
} from '@megrez/model';
import { ownersOf } from '@megrez/ring';
import { prefixes } from '@megrez/store';
import type { Context } from '../context';
import { statusOf } from '../provisioning/host-status';
import { findHost } from '../provisioning/lookup';
import { type Semaphore, semaphore } from '../support/semaphore';
import { checkScope, fleetOf, type NamedTable, tablesIn } from './fleet';
import { movesOf } from './moves';
import { targetOf } from './plan';
import { slotMove } from './progress';
import { planRebalance } from './rebalance';

const concurrent_counts = 32;

export const listShards = async (context: Context, request: ListShardsRequest): Promise<ListShardsResponse> => {
  await checkScope(context, request);
  if (request.host !== '') await findHost(context, request.host);
  const tables = tablesIn(context, request);
  const listed = new Set(tables.flatMap(({ view }) => [...view.listed]));
  const status = await statusOf(
    context,
    [...listed].filter((host) => request.host === '' || host === request.host),
  );
  const gate = semaphore(concurrent_counts);
  const shards = await Promise.all(
    tables.map(async (named) => {
      const wanted = shardsOf(context, named).filter(({ host }) => request.host === '' || host === request.host);
      const counts = request.withoutEntries ? () => 0 : await entriesOf(context, gate, named, wanted);
      return wanted.map((shard): Shard => {
        const { attached = false, report } = status.get(shard.host) ?? {};
        const entries = counts(shard);
        return { ...shard, entries, attached, lookupsPerSecond: report?.lookupsPerSecond ?? 0 };
      });
    }),
  );
  return { shards: shards.flat() };
};

/** One per host that the table lists; what others must be asked for is left out. */
const shardsOf = ({ shards }: Context, { vpc, subnet, view, key }: NamedTable): readonly Shard[] => {
  const plan = shards.plans.get(key)?.value;
  const byHost = new Map(
    [...view.listed].sort().map((host): [string, Shard] => [
      host,
      {
        vpc,
        subnet,
        host,
        epoch: view.value.epoch,
        primarySlots: 0,
        secondarySlots: 0,
        entries: 0,
        slots: [],
        loadingSlots: 0,
        leavingSlots: 0,
        lookupsPerSecond: 0,
        state: SlotState.UNSPECIFIED,
        attached: false,
        job: plan === undefined || plan.settled ? 0 : plan.job,
      },
    ]),
  );
  view.value.slots.forEach((_, slot) => {
    ownersOf(view.value, slot).forEach(({ host, state }, position) => {
      const shard = byHost.get(host);
      if (shard === undefined) return;
      shard.slots.push(slot);
      if (state === SlotState.LOADING) shard.loadingSlots += 1;
      else if (state === SlotState.LEAVING) shard.leavingSlots += 1;
      else if (position === 0) shard.primarySlots += 1;
      else shard.secondarySlots += 1;
    });
  });
  for (const shard of byHost.values()) shard.state = stateOf(shard);
  return [...byHost.values()];
};

const stateOf = ({ slots, loadingSlots, leavingSlots }: Shard): SlotState => {
  if (slots.length === 0) return SlotState.UNSPECIFIED;
  if (loadingSlots > 0) return SlotState.LOADING;
  return leavingSlots > 0 ? SlotState.LEAVING : SlotState.SERVING;
};

/** Whoever is one of a VPC's dividers holds all its subnets, be it of one slot. */
const entriesOf = async (
  { store, mirror }: Context,
  gate: Semaphore,
  { view: { value } }: NamedTable,
  shards: readonly Shard[],
): Promise<(shard: Shard) => number> => {
  if (value.subnet === 0) {
    const subnets = mirror.numbersOf.get(value.vni)?.size ?? 0;
    return ({ slots }) => (slots.length > 0 ? subnets : 0);
  }
  if ((await store.count(prefixes.endpoints(value.vni, value.subnet))) === 0) return () => 0;
  const counts: number[] = [];
  const slots = new Set(shards.flatMap((shard) => shard.slots));
  await Promise.all(
    [...slots].map(async (slot) => {
      counts[slot] = await gate(() => store.count(prefixes.endpoints(value.vni, value.subnet, slot)));
    }),
  );
  return (shard) => shard.slots.reduce((sum, slot) => sum + (counts[slot] ?? 0), 0);
};

/** Changes nothing; a rebalance that begins now does this. */
export const showPlan = async (context: Context, request: PlanRebalanceRequest): Promise<PlanRebalanceResponse> => {
  await checkScope(context, request);
  const { plans, problems } = planRebalance(context, request, fleetOf(context), 0);
  const gate = semaphore(concurrent_counts);
  const perTable = plans.map(({ named, plan }) => ({
    named,
    moves: movesOf(named.view.value, targetOf(plan)),
    why: plan.why,
  }));
  const entries = await Promise.all(
    perTable.flatMap(({ named: { view }, moves }) =>
      moves
        .filter(({ to }) => to !== '' && view.value.subnet !== 0)
        .map(({ slot }) =>
          gate(() => context.store.count(prefixes.endpoints(view.value.vni, view.value.subnet, slot))),
        ),
    ),
  );
  return {
    moves: perTable.flatMap(({ named, moves, why }) => moves.map((move) => slotMove(named, move, why))),
    entries: entries.reduce((sum, count) => sum + count, 0),
    problems: [...problems],
  };
};
