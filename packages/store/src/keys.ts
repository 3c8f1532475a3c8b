/**
 * The key layout (design: "Keys"): the only place that knows it.
 *
 * Addresses are the 16 bytes (IPv4-mapped) as 32 hex digits, slots 2 hex digits, so that a slot is one contiguous range.
 */
import {
  Endpoint,
  HeldAddress,
  Host,
  JobCounter,
  LeaderRecord,
  RelayRecord,
  Service,
  SessionRecord,
  ShardJob,
  SlotPlan,
  SlotTable,
  Subnet,
  Vpc,
} from '@megrez/model';
import type { MessageType } from '@protobuf-ts/runtime';
import type { Key, Prefix } from './types';

export const root = '/megrez/v1/';

/** Holds the store id as plain text, written once; the one key that is no message. A restore from a backup rewrites it. */
export const storePath = `${root}store`;

const key = <T extends object>(type: MessageType<T>, ...parts: (string | number)[]): Key<T> => ({
  path: root + parts.join('/'),
  type,
});
const prefix = <T extends object>(type: MessageType<T>, ...parts: (string | number)[]): Prefix<T> => ({
  path: `${root}${parts.join('/')}/`,
  type,
});

/** `ip` below is always the 32 hex digits of the 16-byte address. */
export const slotHex = (slot: number): string => slot.toString(16).padStart(2, '0');

export const keys = {
  vpc: (name: string) => key(Vpc, 'vpcs', name),
  /** Claims a VNI; holds the Vpc's name only. */
  vni: (vni: number) => key(Vpc, 'vnis', vni),
  /** Highest VNI ever given out, in Vpc.vni. */
  vniCounter: () => key(Vpc, 'counters', 'vni'),
  /** Highest subnet number ever given out in the VPC, in Subnet.number. */
  subnetCounter: (vni: number) => key(Subnet, 'counters', `subnet-${vni}`),
  subnet: (vni: number, number: number) => key(Subnet, 'subnets', vni, number),
  /** Index: name of a subnet inside its VPC; a Subnet with its vni and number only. */
  subnetName: (vni: number, name: string) => key(Subnet, 'subnet-names', vni, name),
  endpoint: (vni: number, subnet: number, slot: number, ip: string) =>
    key(Endpoint, 'endpoints', vni, subnet, slotHex(slot), ip),
  /** A copy of the whole Endpoint, written in the same txn, so that a host's own endpoints are one range. */
  byHost: (host: string, vni: number, subnet: number, ip: string) => key(Endpoint, 'by-host', host, vni, subnet, ip),
  /** Index: an Endpoint with its vni, subnet_number, slot and ip only. */
  name: (vni: number, subnet: number, name: string) => key(Endpoint, 'names', vni, subnet, name),
  mac: (vni: number, subnet: number, mac: string) => key(Endpoint, 'macs', vni, subnet, mac),
  held: (vni: number, subnet: number, ip: string) => key(HeldAddress, 'held', vni, subnet, ip),
  /** An endpoint that moves, so that somebody goes on with it: an index entry, as under `names`. */
  move: (vni: number, subnet: number, ip: string) => key(Endpoint, 'moves', vni, subnet, ip),
  slots: (vni: number, subnet: number) => key(SlotTable, 'slots', vni, subnet),
  service: (vni: number, subnet: number, name: string) => key(Service, 'services', vni, subnet, name),
  /** Claims an address that no endpoint may have; a Service with its vpc, subnet and name only. */
  serviceAddress: (vni: number, subnet: number, ip: string) => key(Service, 'service-addresses', vni, subnet, ip),
  /** Index: `service` (of the subnet `of`) has the endpoint of this subnet and address as a backend; the same. */
  backend: (vni: number, subnet: number, ip: string, of: number, service: string) =>
    key(Service, 'backends', vni, subnet, ip, of, service),
  host: (name: string) => key(Host, 'hosts', name),
  /** Index: underlay address of a host. */
  hostAddress: (ip: string) => key(Host, 'host-addresses', ip),
  relay: (incarnation: string) => key(RelayRecord, 'relays', incarnation),
  session: (host: string) => key(SessionRecord, 'sessions', host),
  /** Leased: the controller that leads. */
  leader: () => key(LeaderRecord, 'leader'),
  /** Where a table's slots shall be; absent when they are where they shall be. */
  slotPlan: (vni: number, subnet: number) => key(SlotPlan, 'slot-plans', vni, subnet),
  /** In the order of the ids. */
  job: (id: number) => key(ShardJob, 'jobs', String(id).padStart(10, '0')),
  jobCounter: () => key(JobCounter, 'counters', 'job'),
} as const;

export const prefixes = {
  vpcs: () => prefix(Vpc, 'vpcs'),
  subnets: (vni?: number) => (vni === undefined ? prefix(Subnet, 'subnets') : prefix(Subnet, 'subnets', vni)),
  endpoints: (vni?: number, subnet?: number, slot?: number) =>
    prefix(
      Endpoint,
      'endpoints',
      ...(vni === undefined ? [] : [vni]),
      ...(subnet === undefined ? [] : [subnet]),
      ...(slot === undefined ? [] : [slotHex(slot)]),
    ),
  byHost: (host: string, vni?: number, subnet?: number) =>
    prefix(Endpoint, 'by-host', host, ...(vni === undefined ? [] : [vni]), ...(subnet === undefined ? [] : [subnet])),
  names: (vni?: number, subnet?: number) =>
    prefix(Endpoint, 'names', ...(vni === undefined ? [] : [vni]), ...(subnet === undefined ? [] : [subnet])),
  services: (vni?: number, subnet?: number) =>
    prefix(Service, 'services', ...(vni === undefined ? [] : [vni]), ...(subnet === undefined ? [] : [subnet])),
  serviceAddresses: (vni: number, subnet: number) => prefix(Service, 'service-addresses', vni, subnet),
  backends: (vni: number, subnet?: number, ip?: string) =>
    prefix(Service, 'backends', vni, ...(subnet === undefined ? [] : [subnet]), ...(ip === undefined ? [] : [ip])),
  slots: () => prefix(SlotTable, 'slots'),
  held: (vni?: number, subnet?: number) =>
    prefix(HeldAddress, 'held', ...(vni === undefined ? [] : [vni]), ...(subnet === undefined ? [] : [subnet])),
  hosts: () => prefix(Host, 'hosts'),
  relays: () => prefix(RelayRecord, 'relays'),
  sessions: () => prefix(SessionRecord, 'sessions'),
  slotPlans: () => prefix(SlotPlan, 'slot-plans'),
  jobs: () => prefix(ShardJob, 'jobs'),
} as const;

export type ParsedKey =
  | { readonly kind: 'vpc'; readonly name: string }
  | { readonly kind: 'subnet'; readonly vni: number; readonly number: number }
  | {
      readonly kind: 'endpoint';
      readonly vni: number;
      readonly subnet: number;
      readonly slot: number;
      readonly ip: string;
    }
  | {
      readonly kind: 'by-host';
      readonly host: string;
      readonly vni: number;
      readonly subnet: number;
      readonly ip: string;
    }
  | { readonly kind: 'slots'; readonly vni: number; readonly subnet: number }
  | { readonly kind: 'service'; readonly vni: number; readonly subnet: number; readonly name: string }
  | { readonly kind: 'service-address'; readonly vni: number; readonly subnet: number; readonly ip: string }
  | { readonly kind: 'host'; readonly name: string }
  | { readonly kind: 'held'; readonly vni: number; readonly subnet: number; readonly ip: string }
  | { readonly kind: 'move'; readonly vni: number; readonly subnet: number; readonly ip: string }
  | { readonly kind: 'relay'; readonly incarnation: string }
  | { readonly kind: 'session'; readonly host: string }
  | { readonly kind: 'leader' }
  | { readonly kind: 'slot-plan'; readonly vni: number; readonly subnet: number }
  | { readonly kind: 'job'; readonly id: number }
  /** A key that no reader of the watch needs, or one of a later version. */
  | { readonly kind: 'other' };

/** Tells what a key is about from the key alone; keys outside the layout are `other`. */
export const parseKey = (path: string): ParsedKey => {
  if (!path.startsWith(root)) return { kind: 'other' };
  const [noun, a = '', b = '', c = '', d = ''] = path.slice(root.length).split('/');
  switch (noun) {
    case 'vpcs':
      return { kind: 'vpc', name: a };
    case 'subnets':
      return { kind: 'subnet', vni: Number(a), number: Number(b) };
    case 'endpoints':
      return { kind: 'endpoint', vni: Number(a), subnet: Number(b), slot: Number.parseInt(c, 16), ip: d };
    case 'by-host':
      return { kind: 'by-host', host: a, vni: Number(b), subnet: Number(c), ip: d };
    case 'slots':
      return { kind: 'slots', vni: Number(a), subnet: Number(b) };
    case 'services':
      return { kind: 'service', vni: Number(a), subnet: Number(b), name: c };
    case 'service-addresses':
      return { kind: 'service-address', vni: Number(a), subnet: Number(b), ip: c };
    case 'hosts':
      return { kind: 'host', name: a };
    case 'held':
      return { kind: 'held', vni: Number(a), subnet: Number(b), ip: c };
    case 'moves':
      return { kind: 'move', vni: Number(a), subnet: Number(b), ip: c };
    case 'relays':
      return { kind: 'relay', incarnation: a };
    case 'sessions':
      return { kind: 'session', host: a };
    case 'leader':
      return { kind: 'leader' };
    case 'slot-plans':
      return { kind: 'slot-plan', vni: Number(a), subnet: Number(b) };
    case 'jobs':
      return { kind: 'job', id: Number(a) };
    default:
      return { kind: 'other' };
  }
};
