/** What one host knows: the rows of its maps (bpf/abi.h), those of the agent and those the datapath keeps itself. */
import type { MapName, maps, VerdictWord } from '@megrez/abi';
import { type Address, addressOf } from './bytes';

type Value<M extends MapName> = ReturnType<(typeof maps)[M]['value']['decode']>;
type Key<M extends MapName> = ReturnType<(typeof maps)[M]['key']['decode']>;
/** One entry of a map, in the shapes of its codec. */
export type Entry = { [M in MapName]: { readonly map: M; readonly key: Key<M>; readonly value: Value<M> } }[MapName];

/** Whom something is about: `<vni>/<address>`. */
export type About = string;
export const about = (vni: number, ip: Address): About => `${vni}/${ip}`;

export interface Reach {
  readonly ip: Address;
  readonly gateway: Address;
  readonly network: Address;
  readonly mask: Address;
}
export interface Port {
  readonly vni: number;
  readonly subnet: number;
  readonly ip4: Reach;
  readonly ip6: Reach;
  readonly mac: Buffer;
  readonly mtu: number;
}
export interface Endpoint {
  readonly ifindex: number;
  readonly generation: bigint;
  readonly mac: Buffer;
}
export interface Mapping {
  readonly host: Address;
  readonly generation: bigint;
  readonly mac: Buffer;
}
export interface Tombstone {
  readonly host: Address;
  readonly generation: bigint;
  readonly until: number;
}
export interface Owners {
  readonly primary: Address;
  readonly secondary: Address;
  readonly epoch: number;
}
export interface Path {
  readonly vni: number;
  readonly ip: Address;
  state: 'asked' | 'told' | 'none' | 'service';
  host: Address;
  asked: Address;
  generation: bigint;
  told_at: number;
  asked_at: number;
  checked_at: number;
  live_at: number;
  mac: Buffer;
  asks: number;
}
export interface NextHop {
  readonly ifindex: number;
  readonly destination: Buffer;
  readonly source: Buffer;
}
export interface HostState {
  asked_at: number;
  heard_at: number;
  probed_at: number;
}
export interface Budget {
  due: number;
  error_due: number;
}
export interface Counter {
  packets: number;
  bytes: number;
}
export interface Config {
  readonly self: Address;
  readonly nic: number;
  readonly secret: readonly [bigint, bigint];
  readonly soft_lease_ns: number;
  readonly hard_lease_ns: number;
  readonly check_ns: number;
  readonly retry_ns: number;
  readonly negative_ns: number;
  readonly ask_interval_ns: number;
  readonly ask_burst_ns: number;
}
export interface ServicePort {
  readonly backends: number;
  readonly byClient: boolean;
  readonly refusal: number;
  readonly bucket: Buffer;
}
export interface Backend {
  readonly ip: Address;
  readonly port: number;
}
/** One way of a flow: as its packets come. */
export interface FlowKey {
  readonly vni: number;
  readonly source: Address;
  readonly destination: Address;
  readonly source_port: number;
  readonly destination_port: number;
  readonly protocol: number;
}
/** What they become. */
export interface Flow {
  readonly key: FlowKey;
  readonly source: Address;
  readonly destination: Address;
  readonly source_port: number;
  readonly destination_port: number;
  state: 'new' | 'established' | 'closing';
  readonly ifindex: number;
  pinned_at: number;
  seen_at: number;
}
export interface Quota {
  pinned_at: number;
  flows: number;
}
/** A prefix of a longest-prefix map: `bits` of the 16 bytes. */
export interface Prefix<T> {
  readonly vni: number;
  readonly network: Address;
  readonly bits: number;
  readonly value: T;
}

export interface State {
  config: Config | undefined;
  /** Until when this host may call an address unknown. */
  attached: number;
  readonly ports: Map<number, Port>;
  readonly endpoints: Map<About, Endpoint>;
  readonly mappings: Map<About, Mapping>;
  readonly tombstones: Map<About, Tombstone>;
  /** By `<vni>/<subnet>/<slot>`, as the next. */
  readonly slots: Map<string, Owners>;
  readonly holdings: Map<string, { readonly state: number }>;
  readonly routes: Prefix<number>[];
  readonly underlay: Prefix<true>[];
  readonly next_hops: Map<Address, NextHop>;
  readonly networks: Set<number>;
  readonly services: Map<About, { readonly generation: bigint; readonly mac: Buffer }>;
  /** By `<vni>/<address>/<port>/<protocol>`. */
  readonly service_ports: Map<string, ServicePort>;
  /** By the same and `/<number>`. */
  readonly backends: Map<string, Backend>;
  // Of the datapath.
  readonly budgets: Map<number, Budget>;
  readonly traffic: Map<number, { readonly sent: Counter; readonly received: Counter }>;
  readonly paths: Map<About, Path>;
  readonly hosts: Map<Address, HostState>;
  /** When the asker was last told, by `<asker>/<about>`. */
  readonly notices: Map<string, number>;
  /** Established flows, and all others, by `flowName`. */
  readonly flows: Map<string, Flow>;
  readonly young_flows: Map<string, Flow>;
  /** Of each interface whose endpoint is a client of services. */
  readonly quotas: Map<number, Quota>;
  /** By `<vni>/<verdict>`. */
  readonly drops: Map<string, Counter>;
}

const reach = (row: { ip: Uint8Array; gateway: Uint8Array; network: Uint8Array; mask: Uint8Array }): Reach => ({
  ip: addressOf(row.ip),
  gateway: addressOf(row.gateway),
  network: addressOf(row.network),
  mask: addressOf(row.mask),
});

export const pathStates = ['asked', 'told', 'none', 'service'] as const;

export const pathOf = (value: Value<'paths'>): Path => ({
  vni: value.key.vni,
  ip: addressOf(value.key.ip),
  state: pathStates[value.state] ?? 'asked',
  host: addressOf(value.host),
  asked: addressOf(value.asked),
  generation: BigInt(value.generation),
  told_at: Number(value.told_at),
  asked_at: Number(value.asked_at),
  checked_at: Number(value.checked_at),
  live_at: Number(value.live_at),
  mac: Buffer.from(value.mac),
  asks: value.asks,
});

const flowStates = ['new', 'established', 'closing'] as const;

export const flowOf = (key: Key<'flows'>, value: Value<'flows'>): Flow => ({
  key: { ...key, source: addressOf(key.source), destination: addressOf(key.destination) },
  source: addressOf(value.source),
  destination: addressOf(value.destination),
  source_port: value.source_port,
  destination_port: value.destination_port,
  state: flowStates[value.state] ?? 'new',
  ifindex: value.ifindex,
  pinned_at: Number(value.pinned_at),
  seen_at: Number(value.seen_at),
});

export const flowName = (key: FlowKey): string =>
  `${key.vni}/${key.source}/${key.source_port}/${key.destination}/${key.destination_port}/${key.protocol}`;

const servicePort = (key: Key<'service_ports'>): string =>
  servicePortName(key.vni, addressOf(key.ip), key.port, key.protocol);
export const servicePortName = (vni: number, ip: Address, port: number, protocol: number): string =>
  `${about(vni, ip)}/${port}/${protocol}`;

/** The state that rows make. */
export const stateOf = (entries: readonly Entry[]): State => {
  const state: State = {
    config: undefined,
    attached: 0,
    ports: new Map(),
    endpoints: new Map(),
    mappings: new Map(),
    tombstones: new Map(),
    slots: new Map(),
    holdings: new Map(),
    routes: [],
    underlay: [],
    next_hops: new Map(),
    networks: new Set(),
    services: new Map(),
    service_ports: new Map(),
    backends: new Map(),
    flows: new Map(),
    young_flows: new Map(),
    quotas: new Map(),
    budgets: new Map(),
    traffic: new Map(),
    paths: new Map(),
    hosts: new Map(),
    notices: new Map(),
    drops: new Map(),
  };
  for (const entry of entries) put(state, entry);
  return state;
};

const put = (state: State, entry: Entry): void => {
  const { map, key, value } = entry;
  switch (map) {
    case 'config': {
      const words = Buffer.from(value.secret);
      state.config = {
        self: addressOf(value.self),
        nic: value.nic,
        secret: [words.readBigUInt64LE(0), words.readBigUInt64LE(8)],
        soft_lease_ns: Number(value.soft_lease_ns),
        hard_lease_ns: Number(value.hard_lease_ns),
        check_ns: Number(value.check_ns),
        retry_ns: Number(value.retry_ns),
        negative_ns: Number(value.negative_ns),
        ask_interval_ns: Number(value.ask_interval_ns),
        ask_burst_ns: Number(value.ask_burst_ns),
      };
      return;
    }
    case 'attached':
      state.attached = Number(value.until);
      return;
    case 'ports':
      state.ports.set(key.ifindex, {
        vni: value.vni,
        subnet: value.subnet,
        ip4: reach(value.ip4),
        ip6: reach(value.ip6),
        mac: Buffer.from(value.mac),
        mtu: value.mtu,
      });
      return;
    case 'endpoints':
      state.endpoints.set(about(key.vni, addressOf(key.ip)), {
        ifindex: value.ifindex,
        generation: BigInt(value.generation),
        mac: Buffer.from(value.mac),
      });
      return;
    case 'mappings':
      state.mappings.set(about(key.vni, addressOf(key.ip)), {
        host: addressOf(value.host),
        generation: BigInt(value.generation),
        mac: Buffer.from(value.mac),
      });
      return;
    case 'tombstones':
      state.tombstones.set(about(key.vni, addressOf(key.ip)), {
        host: addressOf(value.host),
        generation: BigInt(value.generation),
        until: Number(value.until),
      });
      return;
    case 'slots':
      state.slots.set(`${key.vni}/${key.subnet}/${key.slot}`, {
        primary: addressOf(value.primary),
        secondary: addressOf(value.secondary),
        epoch: value.epoch,
      });
      return;
    case 'holdings':
      state.holdings.set(`${key.vni}/${key.subnet}/${key.slot}`, { state: value.state });
      return;
    case 'routes':
      state.routes.push({ vni: key.vni, network: addressOf(key.address), bits: key.length - 32, value: value.subnet });
      return;
    case 'underlay':
      state.underlay.push({ vni: 0, network: addressOf(key.address), bits: key.length, value: true });
      return;
    case 'next_hops':
      state.next_hops.set(addressOf(key.host), {
        ifindex: value.ifindex,
        destination: Buffer.from(value.destination),
        source: Buffer.from(value.source),
      });
      return;
    case 'networks':
      state.networks.add(key.vni);
      return;
    case 'budgets':
      state.budgets.set(key.ifindex, { due: Number(value.due), error_due: Number(value.error_due) });
      return;
    case 'traffic':
      state.traffic.set(key.ifindex, { sent: { packets: 0, bytes: 0 }, received: { packets: 0, bytes: 0 } });
      return;
    case 'paths':
      state.paths.set(about(key.vni, addressOf(key.ip)), pathOf(value));
      return;
    case 'hosts':
      state.hosts.set(addressOf(key.host), {
        asked_at: Number(value.asked_at),
        heard_at: Number(value.heard_at),
        probed_at: Number(value.probed_at),
      });
      return;
    case 'notices':
      state.notices.set(
        `${addressOf(key.asker)}/${about(key.about.vni, addressOf(key.about.ip))}`,
        Number(value.sent_at),
      );
      return;
    case 'services':
      state.services.set(about(key.vni, addressOf(key.ip)), {
        generation: BigInt(value.generation),
        mac: Buffer.from(value.mac),
      });
      return;
    case 'service_ports':
      state.service_ports.set(servicePort(key), {
        backends: value.backends,
        byClient: value.affinity === 1,
        refusal: value.refusal,
        bucket: Buffer.from(value.bucket),
      });
      return;
    case 'backends':
      state.backends.set(`${servicePort(key.service)}/${key.number}`, { ip: addressOf(value.ip), port: value.port });
      return;
    case 'flows':
    case 'young_flows': {
      const flow = flowOf(key, value);
      state[map].set(flowName(flow.key), flow);
      return;
    }
    case 'quotas':
      state.quotas.set(key.ifindex, { pinned_at: Number(value.pinned_at), flows: value.flows });
      return;
    case 'last_heard':
      return; // what spares a look at `hosts`
    default:
      throw new Error(`rows of ${map} are the datapath's alone`);
  }
};

/** Of the longest prefix that holds the address. */
export const longest = <T>(prefixes: readonly Prefix<T>[], vni: number, address: Address): T | undefined => {
  let best: Prefix<T> | undefined;
  for (const prefix of prefixes) {
    if (prefix.vni === vni && prefix.bits > (best?.bits ?? -1) && sharesBits(prefix, address)) best = prefix;
  }
  return best?.value;
};

const sharesBits = ({ network, bits }: Prefix<unknown>, address: Address): boolean => {
  const whole = bits >> 3;
  if (network.slice(0, whole) !== address.slice(0, whole)) return false;
  const rest = bits & 7;
  return rest === 0 || (network.charCodeAt(whole) ^ address.charCodeAt(whole)) >> (8 - rest) === 0;
};

export const elapsed = (then: number, now: number): number => Math.max(0, now - then);

export const countDrop = (state: State, vni: number, verdict: VerdictWord, bytes: number): void => {
  const key = `${vni}/${verdict}`;
  const counter = state.drops.get(key) ?? { packets: 0, bytes: 0 };
  counter.packets++;
  counter.bytes += bytes;
  state.drops.set(key, counter);
};
