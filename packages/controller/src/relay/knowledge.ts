import type { Change } from '@megrez/model';
import type { TableView } from '../mirror';
import { subnetChange, tableChange, vpcChange } from './changes';
import type { HostEvent, SubnetContext } from './events';

/** Something to read of the store before later changes may be sent. */
export type Load =
  | { readonly kind: 'snapshot' }
  /** The content of slots, as of a revision: to be held from now on, or (lost) no longer. */
  | {
      readonly kind: 'slots';
      readonly key: string;
      readonly slots: ReadonlySet<number>;
      readonly revision: number;
      readonly lost: boolean;
    };

export type Step =
  | { readonly kind: 'change'; readonly change: Change }
  | { readonly kind: 'load'; readonly load: Load };

/** What one host knows by now: its endpoints, the slots it holds, the subnets and VPCs it was told. */
export interface Knowledge {
  knows(subnet: string): boolean;
  knowsVpc(vni: number): boolean;
  /** Does the host hold the endpoint as its own? */
  owns(subnet: string, ip: string): boolean;
  /** An endpoint of the host's own, from its snapshot. */
  add(subnet: string, ip: string): void;
  /** The slots of a table that the host holds, from its snapshot. */
  hold(subnet: string, slots: ReadonlySet<number>): void;
  /** Vpc, subnet and table, unless the host has them: what must go before anything inside the subnet. */
  introduce(context: SubnetContext): Change[];
  /** What to send for the events of one revision, endpoints up to `floor` being known. */
  steps(events: readonly HostEvent[], revision: number, floor: number): Step[];
}

const none: ReadonlySet<number> = new Set();
const change = (value: Change): Step => ({ kind: 'change', change: value });

export const knowledge = (host: string): Knowledge => {
  const own = new Map<string, Set<string>>();
  const held = new Map<string, ReadonlySet<number>>();
  /** By subnet key: what was told, for telling its end. */
  const told = new Map<string, SubnetContext>();
  const vpcs = new Map<number, number>();

  const needs = (key: string): boolean => (own.get(key)?.size ?? 0) > 0 || (held.get(key)?.size ?? 0) > 0;

  const introduce = (context: SubnetContext): Change[] => {
    const { vni, number } = context.subnet.value;
    const key = `${vni}/${number}`;
    if (told.has(key)) return [];
    told.set(key, context);
    const users = vpcs.get(vni) ?? 0;
    vpcs.set(vni, users + 1);
    const changes = [subnetChange(context.subnet), tableChange(context.table)];
    return users === 0 ? [vpcChange(context.vpc), ...changes] : changes;
  };

  /** Table, subnet and perhaps the VPC go when nothing of the host is in the subnet any more. */
  const release = (key: string, revision: number): Change[] => {
    const context = told.get(key);
    if (context === undefined || needs(key)) return [];
    told.delete(key);
    const { vni } = context.subnet.value;
    const users = (vpcs.get(vni) ?? 1) - 1;
    const changes = [
      tableChange({ value: context.table.value, revision }, true),
      subnetChange({ value: context.subnet.value, revision }, true),
    ];
    if (users > 0) {
      vpcs.set(vni, users);
      return changes;
    }
    vpcs.delete(vni);
    return [...changes, vpcChange({ value: context.vpc.value, revision }, true)];
  };

  const endpoint = (event: Extract<HostEvent, { kind: 'endpoint' }>, revision: number, floor: number): Step[] => {
    if (revision <= floor) return [];
    const { key, ip, context } = event;
    if (event.own === 'left') {
      own.get(key)?.delete(ip);
      if (own.get(key)?.size === 0) own.delete(key);
      return [event.change, ...release(key, revision)].map(change);
    }
    if (event.own === 'came') {
      const ips = own.get(key);
      if (ips === undefined) own.set(key, new Set([ip]));
      else ips.add(ip);
    }
    const before = context === undefined || event.change.deleted ? [] : introduce(context);
    return [...before, event.change].map(change);
  };

  const table = (event: Extract<HostEvent, { kind: 'table' }>, revision: number, floor: number): Step[] => {
    const { key, context } = event;
    const before = held.get(key) ?? none;
    const now = event.table?.slotsOf.get(host) ?? none;
    if (now.size === 0) held.delete(key);
    else held.set(key, now);
    if (event.table === undefined) return release(key, revision).map(change);
    const steps: Step[] = [];
    const lost = difference(before, now);
    const gained = difference(now, before);
    const pin = Math.max(revision, floor);
    if (needs(key) && context !== undefined)
      steps.push(...(told.has(key) ? [event.change] : introduce(context)).map(change));
    if (told.has(key) && context !== undefined) told.set(key, context);
    // Endpoints that came up to the floor are told by nothing else, be the table ever so new.
    if (gained.size > 0 && (!event.fresh || revision <= floor)) {
      steps.push({ kind: 'load', load: { kind: 'slots', key, slots: gained, revision: pin, lost: false } });
    }
    if (lost.size > 0) {
      steps.push({ kind: 'load', load: { kind: 'slots', key, slots: lost, revision: pin, lost: true } });
    }
    return [...steps, ...release(key, revision).map(change)];
  };

  const step = (event: HostEvent, revision: number, floor: number): Step[] => {
    if (event.kind === 'endpoint') return endpoint(event, revision, floor);
    if (event.kind === 'table') return table(event, revision, floor);
    if (event.kind === 'vpc') return vpcs.has(event.vni) ? [change(event.change)] : [];
    // The deletion of a subnet goes with its table's.
    return told.has(event.key) && !event.change.deleted ? [change(event.change)] : [];
  };

  return {
    knows: (subnet) => told.has(subnet),
    knowsVpc: (vni) => vpcs.has(vni),
    owns: (subnet, ip) => own.get(subnet)?.has(ip) ?? false,
    add: (subnet, ip) => {
      const ips = own.get(subnet);
      if (ips === undefined) own.set(subnet, new Set([ip]));
      else ips.add(ip);
    },
    hold: (subnet, slots) => held.set(subnet, slots),
    introduce,
    steps: (events, revision, floor) => events.flatMap((event) => step(event, revision, floor)),
  };
};

const difference = (a: ReadonlySet<number>, b: ReadonlySet<number>): ReadonlySet<number> =>
  new Set([...a].filter((slot) => !b.has(slot)));

export const slotsHeld = (table: TableView, host: string): ReadonlySet<number> => table.slotsOf.get(host) ?? none;
