import { MegrezError, type SlotPlan } from '@megrez/model';
import { type FleetTable, placeFleet } from '@megrez/ring';
import type { Context } from '../context';
import { type NamedTable, type Scope, tableName, tablesIn } from './fleet';
import { type FleetHost, makePlan, ownersIn, tableOf, wantedTarget } from './plan';

export interface Rebalance {
  /** Of the tables that change. */
  readonly plans: readonly { readonly named: NamedTable; readonly plan: SlotPlan }[];
  /** What the outcome falls short of, one sentence each. */
  readonly problems: readonly string[];
}

/**
 * What a rebalance of a scope changes; the rest of the fleet counts as load. Hosts may be any subset of the truth: who is
 * not eligible gives up its slots.
 * @throws MegrezError FAILED_PRECONDITION / NO_ELIGIBLE_HOST
 */
export const planRebalance = (
  context: Context,
  scope: Scope,
  hosts: ReadonlyMap<string, FleetHost>,
  job: number,
): Rebalance => {
  const inside = new Set(tablesIn(context, scope).map(({ key }) => key));
  const all = tablesIn(context, { vpc: '', subnet: '' });
  const ready = [...hosts.values()].map((host) => ({ ...host, eligible: host.eligible && host.attached }));
  const eligible = ready.filter((host) => host.eligible).length;
  if (eligible === 0) throw noHost();
  const problems: string[] = [];
  const fleet = all.map((named): FleetTable => {
    const { view, wish, key } = named;
    const plan = context.shards.plans.get(key)?.value;
    const target = wantedTarget(view.value, plan);
    const table = tableOf(view.value, target, (host) => hosts.get(host)?.address ?? '');
    // A host that is away for the moment keeps its slots, and nobody can take part of them from it meanwhile.
    const away = [...ownersIn(target)].filter(
      (host) => hosts.get(host)?.eligible === true && !hosts.get(host)?.attached,
    );
    if (inside.has(key) && away.length > 0)
      problems.push(`${tableName(named)} stays as it is while ${away.join(', ')} is detached.`);
    if (inside.has(key) && wish.bouncers > eligible) {
      problems.push(`${tableName(named)} shall have ${wish.bouncers} owners, and ${eligible} hosts may own slots.`);
    }
    const pinned = wish.pinned.filter((name) => ready.some((host) => host.name === name && host.eligible));
    return {
      vni: view.value.vni,
      subnet: view.value.subnet,
      object: tableName(named),
      bouncers: Math.max(pinned.length, Math.min(wish.bouncers, eligible)),
      pinned,
      table,
      fixed: !inside.has(key) || away.length > 0 || view.value.owners.length === 0,
    };
  });
  const placed = placeFleet(ready, fleet);
  const plans = all.flatMap((named, i) => {
    const { key, view, wish } = named;
    const from = fleet[i];
    const to = placed[i];
    if (!inside.has(key) || from === undefined || to === undefined || from.fixed === true) return [];
    const owners = to.owners.map(({ host }) => host);
    const before = from.table.owners.map(({ host }) => host);
    const why = reason(before, owners, hosts);
    const present = context.shards.plans.get(key)?.value;
    const plan = makePlan({ table: view.value, plan: present, wish, hosts, why, job, owners });
    return plan === undefined ? [] : [{ named, plan }];
  });
  return { plans, problems };
};

const reason = (before: readonly string[], after: readonly string[], hosts: ReadonlyMap<string, FleetHost>): string => {
  const coming = after.filter((host) => !before.includes(host));
  const going = before.filter((host) => !after.includes(host));
  const gone = going.flatMap((host) => {
    const why = hosts.get(host)?.gone;
    return why === undefined ? [] : [`${host} ${why}`];
  });
  if (gone.length > 0) return gone.join(', ');
  if (coming.length > 0 && going.length > 0)
    return `${coming.join(', ')} has less than its share, ${going.join(', ')} more`;
  if (coming.length > 0) return `${coming.join(', ')} comes: ${after.length} owners are wished`;
  if (going.length > 0) return `${going.join(', ')} goes: ${after.length} owners are wished`;
  return 'slots are dealt evenly';
};

export const noHost = (): MegrezError =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'NO_ELIGIBLE_HOST',
    object: 'shards',
    message: 'no host may own slots: start an agent, or make a host eligible again (megrez shard undrain HOST)',
  });
