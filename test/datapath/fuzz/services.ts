/** Rows of services, and of flows to them, for generated worlds. */
import type { Entry } from '../model/state';
import type { Random } from './random';

export interface Service {
  readonly vni: number;
  readonly ip: Uint8Array;
}
interface Client extends Service {
  readonly ifindex: number;
}
/** A flow that has rows. */
export interface KnownFlow {
  readonly client: Client;
  readonly service: Uint8Array;
  readonly backend: Uint8Array;
  /** What the backend takes for its client. */
  readonly seenAs: Uint8Array;
  readonly client_port: number;
  readonly service_port: number;
  readonly protocol: 6 | 17;
}

/** Few, so that packets hit them. */
export const clientPorts = [4000, 4001] as const;
export const servicePorts = [80, 443] as const;
export const backendPort = 8080;
const protocols = [6, 17] as const;

export const serviceEntries = (
  random: Random,
  {
    services,
    clients,
    members,
    generation,
    ago,
    mac,
  }: {
    readonly services: readonly Service[];
    readonly clients: readonly Client[];
    /** Addresses that may be backends. */
    readonly members: readonly Uint8Array[];
    readonly generation: () => number;
    readonly ago: (thresholds_ms: readonly number[]) => bigint;
    readonly mac: (ip: Uint8Array) => Uint8Array;
  },
): { readonly entries: Entry[]; readonly flows: KnownFlow[] } => {
  const entries: Entry[] = [];
  const flows: KnownFlow[] = [];
  for (const { vni, ip } of services) {
    if (random.once(2))
      entries.push({ map: 'services', key: { vni, ip }, value: { generation: generation(), mac: mac(ip) } });
    for (const port of servicePorts)
      for (const protocol of protocols) {
        const service = { vni, ip, port, protocol };
        if (random.once(3)) continue;
        const bucket = Buffer.alloc(2 * 1021);
        const cycle = random.below(4);
        for (let at = 0; at < 1021; at++) bucket.writeUInt16LE(cycle === 3 ? 0xffff : at % (cycle + 1), at * 2);
        entries.push({
          map: 'service_ports',
          key: service,
          value: {
            generation: generation(),
            backends: random.pick([0, 1, 3, 3]),
            affinity: random.below(2),
            refusal: random.below(2),
            bucket,
          },
        });
        for (const number of [0, 1, 2])
          if (!random.once(4))
            entries.push({
              map: 'backends',
              key: { service, number },
              value: { ip: random.pick(members), port: backendPort, generation: generation() },
            });
      }
    for (const client of clients)
      if (client.vni === vni) entries.push(...flowEntries(random, client, ip, members, ago, flows));
  }
  for (const { ifindex } of clients)
    if (services.length > 0 && !random.once(3))
      entries.push({
        map: 'quotas',
        key: { ifindex },
        value: { pinned_at: ago([0, 5_000]), flows: random.pick([0, 0, 1, 16_383, 16_384]) },
      });
  return { entries, flows };
};

const flowEntries = (
  random: Random,
  client: Client,
  service: Uint8Array,
  members: readonly Uint8Array[],
  ago: (thresholds_ms: readonly number[]) => bigint,
  flows: KnownFlow[],
): Entry[] => {
  const entries: Entry[] = [];
  for (const source_port of clientPorts)
    for (const protocol of protocols) {
      if (random.once(2)) continue;
      const backend = random.once(6) ? client.ip : random.pick(members);
      const port = random.pick([80, 80, 443]);
      const map = random.pick(['young_flows', 'young_flows', 'flows'] as const);
      const common = {
        state: map === 'flows' ? random.pick([1, 1, 2] as const) : random.pick([0, 0, 0, 2] as const),
        ifindex: client.ifindex,
        pinned_at: ago([0, 900, 5_000]),
        seen_at: ago([0, 0, 900, 60_000, 180_000, 7_200_000]),
      };
      const seenAs = Buffer.from(backend).equals(client.ip) ? service : client.ip;
      flows.push({ client, service, backend, seenAs, client_port: source_port, service_port: port, protocol });
      entries.push({
        map,
        key: {
          vni: client.vni,
          source: client.ip,
          destination: service,
          source_port,
          destination_port: port,
          protocol,
        },
        value: { ...common, source: seenAs, destination: backend, source_port, destination_port: backendPort },
      });
      if (random.once(8)) continue;
      entries.push({
        map: random.once(12) ? 'young_flows' : map,
        key: {
          vni: client.vni,
          source: backend,
          destination: seenAs,
          source_port: backendPort,
          destination_port: source_port,
          protocol,
        },
        value: { ...common, source: service, destination: client.ip, source_port: port, destination_port: source_port },
      });
    }
  return entries;
};
