import type { Change } from '@megrez/model';
import { dividersKey, subnetKey, type TableView } from '../mirror';
import { subnetChange, tableChange, vpcChange } from './changes';
import type { DividersContext, HostEvent, SubnetContext } from './events';

/** Something to read of the store before later changes may be sent. */
export type Load =
  | { readonly kind: 'snapshot' }
  /**
   * The content of slots, as of a revision: to be held from now on, or (lost) no longer; with the subnet's services if these
   * are the first. Of the last it forgets them by itself.
   */
  | {
      readonly kind: 'slots';
      readonly key: string;
      readonly slots: ReadonlySet<number>;
      readonly revision: number;
      readonly lost: boolean;
      readonly services: boolean;
    };

export type Step =
  | { readonly kind: 'change'; readonly change: Change }
  | { readonly kind: 'load'; readonly load: Load };

/**
 * What one host knows by now: its endpoints, the slots it holds, the subnets, dividers' tables and VPCs it was told.
 * Tables are named by subnetKey, a VPC's dividers having number 0.
 */
export interface Knowledge {
  /** Was the host told of the table (and of its subnet), or must it be? */
  knows(table: string): boolean;
  knowsVpc(vni: number): boolean;
  /** Does the host hold slots of the table? */
  holds(table: string): boolean;
  /** Does the host hold slots of the VPC's dividers, and so know all its subnets? */
  divides(vni: number): boolean;
  /** Does the host hold the endpoint as its own? */
  owns(subnet: string, ip: string): boolean;
  /** An endpoint of the host's own, from its snapshot. */
  add(subnet: string, ip: string): void;
  /** Tables as they were up to this revision are what the snapshot is made of: nobody needs to be told again how they came to be. */
  tablesUpTo(revision: number): void;
  /** A table that lists the host as an owner, from its snapshot. */
  hold(table: string, view: TableView): void;
  /** Vpc, tables and subnet, as far as the host lacks them: what must go before anything inside the subnet. */
  introduce(context: SubnetContext): Change[];
  /** The same of a VPC's dividers, with all its subnets if the host is one of them. */
  introduceDividers(context: DividersContext): Change[];
  /** What to send for the events of one revision, endpoints up to `floor` being known. */
  steps(events: readonly HostEvent[], revision: number, floor: number): Step[];
}

const none: ReadonlySet<number> = new Set();
const change = (value: Change): Step => ({ kind: 'change', change: value });

const vniOf = (key: string): number => Number(key.slice(0, key.indexOf('/')));
const isDividers = (key: string): boolean => key.endsWith('/0');

export const knowledge = (host: string): Knowledge => {
  const own = new Map<string, Set<string>>();
  /** By VNI: how many subnets of it the host has endpoints in. */
  const inhabited = new Map<number, number>();
  const held = new Map<string, ReadonlySet<number>>();
  /** Tables that name the host as an owner, with slots or (to pass queries on) without. */
  const listed = new Set<string>();
  /** What was told, for telling its end. */
  const told = new Map<string, SubnetContext>();
  const dividers = new Map<number, DividersContext>();
  /** By VNI: how much was told that stands on the VPC. */
  const vpcs = new Map<number, number>();
  let tables_known = 0;

  const divides = (vni: number): boolean => held.has(dividersKey(vni));
  const needsDividers = (vni: number): boolean => listed.has(dividersKey(vni)) || inhabited.has(vni);
  const needs = (key: string): boolean => own.has(key) || held.has(key) || listed.has(key) || divides(vniOf(key));

  const add = (key: string, ip: string): void => {
    const ips = own.get(key);
    if (ips !== undefined) {
      ips.add(ip);
      return;
    }
    own.set(key, new Set([ip]));
    inhabited.set(vniOf(key), (inhabited.get(vniOf(key)) ?? 0) + 1);
  };
  const drop = (key: string, ip: string): void => {
    const ips = own.get(key);
    if (ips === undefined || !ips.delete(ip) || ips.size > 0) return;
    own.delete(key);
    const left = (inhabited.get(vniOf(key)) ?? 1) - 1;
    if (left > 0) inhabited.set(vniOf(key), left);
    else inhabited.delete(vniOf(key));
  };
  const hold = (key: string, view: TableView | undefined): void => {
    const slots = view?.slotsOf.get(host);
    if (slots === undefined) held.delete(key);
    else held.set(key, slots);
    if (view?.listed.has(host)) listed.add(key);
    else listed.delete(key);
  };

  const enterVpc = (vpc: SubnetContext['vpc']): Change[] => {
    const { vni } = vpc.value;
    const users = vpcs.get(vni) ?? 0;
    vpcs.set(vni, users + 1);
    return users === 0 ? [vpcChange(vpc)] : [];
  };
  const leaveVpc = (vpc: SubnetContext['vpc'], revision: number): Change[] => {
    const { vni } = vpc.value;
    const users = (vpcs.get(vni) ?? 1) - 1;
    if (users > 0) {
      vpcs.set(vni, users);
      return [];
    }
    vpcs.delete(vni);
    return [vpcChange({ value: vpc.value, revision }, true)];
  };

  /** The table goes before the subnet: a route never stands without its table. */
  const tellSubnet = (context: SubnetContext): Change[] => {
    const { vni, number } = context.subnet.value;
    const key = subnetKey(vni, number);
    if (told.has(key)) return [];
    told.set(key, context);
    return [...enterVpc(context.vpc), tableChange(context.table), subnetChange(context.subnet)];
  };
  const tellDividers = (context: DividersContext): Change[] => {
    const { vni } = context.vpc.value;
    if (dividers.has(vni)) return [];
    dividers.set(vni, context);
    return [...enterVpc(context.vpc), tableChange(context.table)];
  };
  /** Of the dividers a host with endpoints needs the table alone. */
  const introduce = (context: SubnetContext): Change[] => {
    const { vpc, dividers: table } = context;
    const wanted = table !== undefined && needsDividers(vpc.value.vni);
    return [...(wanted ? tellDividers({ vpc, table, subnets: [] }) : []), ...tellSubnet(context)];
  };
  /** Their table goes last: who serves as a divider has everything then. */
  const introduceDividers = (context: DividersContext): Change[] => {
    const subnets = divides(context.vpc.value.vni) ? context.subnets.flatMap(tellSubnet) : [];
    return [...subnets, ...tellDividers(context)];
  };

  const forgetSubnet = (key: string, revision: number): Change[] => {
    const context = told.get(key);
    if (context === undefined) return [];
    told.delete(key);
    return [
      subnetChange({ value: context.subnet.value, revision }, true),
      tableChange({ value: context.table.value, revision }, true),
      ...leaveVpc(context.vpc, revision),
    ];
  };
  const forgetDividers = (vni: number, revision: number): Change[] => {
    const context = dividers.get(vni);
    if (context === undefined) return [];
    dividers.delete(vni);
    return [tableChange({ value: context.table.value, revision }, true), ...leaveVpc(context.vpc, revision)];
  };
  /** Subnet, dividers and VPC go when nothing of the host is there any more. */
  const release = (key: string, revision: number): Change[] => {
    const vni = vniOf(key);
    return [
      ...(needs(key) ? [] : forgetSubnet(key, revision)),
      ...(needsDividers(vni) ? [] : forgetDividers(vni, revision)),
    ];
  };

  const endpoint = (event: Extract<HostEvent, { kind: 'endpoint' }>, revision: number, floor: number): Step[] => {
    if (revision <= floor) return [];
    const { key, ip, context } = event;
    if (event.own === 'left') {
      drop(key, ip);
      return [event.change, ...release(key, revision)].map(change);
    }
    if (event.own === 'came') add(key, ip);
    const before = context === undefined || event.change.deleted ? [] : introduce(context);
    return [...before, event.change].map(change);
  };

  const table = (event: Extract<HostEvent, { kind: 'table' }>, revision: number, floor: number): Step[] => {
    const { key, context } = event;
    const before = held.get(key) ?? none;
    hold(key, event.table);
    // Whoever knew the subnet, a divider too, has nothing left to know.
    if (event.table === undefined) return [...forgetSubnet(key, revision), ...release(key, revision)].map(change);
    const now = held.get(key) ?? none;
    const steps: Step[] = [];
    const lost = difference(before, now);
    const gained = difference(now, before);
    const pin = Math.max(revision, floor);
    if (needs(key) && context !== undefined)
      steps.push(...(told.has(key) ? [event.change] : introduce(context)).map(change));
    if (told.has(key) && context !== undefined) told.set(key, context);
    // Endpoints that came up to the floor are told by nothing else, be the table ever so new.
    if (gained.size > 0 && (!event.fresh || revision <= floor)) {
      steps.push({
        kind: 'load',
        load: { kind: 'slots', key, slots: gained, revision: pin, lost: false, services: before.size === 0 },
      });
    }
    if (lost.size > 0) {
      steps.push({
        kind: 'load',
        load: { kind: 'slots', key, slots: lost, revision: pin, lost: true, services: false },
      });
    }
    return [...steps, ...release(key, revision).map(change)];
  };

  const dividersTable = ({ vni, ...event }: Extract<HostEvent, { kind: 'dividers' }>, revision: number): Step[] => {
    const { context } = event;
    const key = dividersKey(vni);
    hold(key, event.table);
    const changes: Change[] = [];
    if (event.table === undefined) changes.push(...forgetDividers(vni, revision));
    else if (context !== undefined && needsDividers(vni)) {
      const known = dividers.has(vni);
      changes.push(...introduceDividers(context), ...(known ? [event.change] : []));
      dividers.set(vni, context);
    }
    if (!divides(vni)) {
      const inside = [...told.keys()].filter((subnet) => vniOf(subnet) === vni && !needs(subnet));
      changes.push(...inside.flatMap((subnet) => forgetSubnet(subnet, revision)));
    }
    if (!needsDividers(vni)) changes.push(...forgetDividers(vni, revision));
    return changes.map(change);
  };

  const step = (event: HostEvent, revision: number, floor: number): Step[] => {
    if (event.kind === 'endpoint') return endpoint(event, revision, floor);
    if (event.kind === 'table') return revision > tables_known ? table(event, revision, floor) : [];
    if (event.kind === 'dividers') return revision > tables_known ? dividersTable(event, revision) : [];
    if (event.kind === 'service') return revision > floor && held.has(event.key) ? [change(event.change)] : [];
    if (event.kind === 'vpc') return vpcs.has(event.vni) ? [change(event.change)] : [];
    // The deletion of a subnet goes with its table's.
    return told.has(event.key) && !event.change.deleted ? [change(event.change)] : [];
  };

  return {
    knows: (key) =>
      isDividers(key) ? dividers.has(vniOf(key)) || needsDividers(vniOf(key)) : told.has(key) || needs(key),
    knowsVpc: (vni) => vpcs.has(vni),
    holds: (key) => held.has(key),
    divides,
    owns: (subnet, ip) => own.get(subnet)?.has(ip) ?? false,
    add,
    tablesUpTo: (revision) => {
      tables_known = revision;
    },
    hold,
    introduce,
    introduceDividers,
    steps: (events, revision, floor) => events.flatMap((event) => step(event, revision, floor)),
  };
};

const difference = (a: ReadonlySet<number>, b: ReadonlySet<number>): ReadonlySet<number> =>
  new Set([...a].filter((slot) => !b.has(slot)));

export const slotsHeld = (table: TableView, host: string): ReadonlySet<number> => table.slotsOf.get(host) ?? none;
