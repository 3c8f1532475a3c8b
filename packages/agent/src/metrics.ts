import { type MapName, maps } from '@megrez/abi';
import type { Known } from '@megrez/plan';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { readDrops, readTraffic, readVerdicts } from './counters';
import type { Datapath } from './datapath';
import type { Rows } from './rows';

export interface Metrics {
  readonly registry: Registry;
  readonly applied: (seconds: number) => void;
  readonly message: (direction: 'sent' | 'received', kind: string) => void;
  readonly sessionOpened: () => void;
}

export interface MetricsFields {
  readonly datapath: Datapath;
  readonly rows: Rows;
  readonly known: Known;
  readonly attached: () => boolean;
  readonly hook: () => string;
  readonly problems: () => readonly string[];
}

const latencies = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 1, 5];
/** Maps that the datapath itself fills: counted when somebody asks. */
const datapathMaps: readonly MapName[] = ['paths', 'hosts', 'notices', 'drops'];
const mapNames = Object.keys(maps) as MapName[];

/** Everything is read when it is scraped; the datapath's counters stay where they are. */
export const openMetrics = ({ datapath, rows, known, attached, hook, problems }: MetricsFields): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];

  const packets = new Counter({
    name: 'megrez_packets_total',
    help: 'Packets by program and verdict.',
    labelNames: ['program', 'verdict'],
    registers,
    collect: async () => {
      const verdicts = await readVerdicts(datapath);
      packets.reset();
      bytes.reset();
      for (const { program, verdict, packets: count, bytes: size } of verdicts) {
        packets.inc({ program, verdict }, count);
        bytes.inc({ program, verdict }, size);
      }
    },
  });
  const bytes = new Counter({
    name: 'megrez_bytes_total',
    help: 'Bytes by program and verdict.',
    labelNames: ['program', 'verdict'],
    registers,
  });
  const drops: Counter = new Counter({
    name: 'megrez_drops_total',
    help: 'Packets dropped, by VNI and reason.',
    labelNames: ['vni', 'verdict'],
    registers,
    collect: async () => {
      const all = await readDrops(datapath);
      drops.reset();
      for (const { vni, verdict, packets: count } of all) drops.inc({ vni, verdict }, count);
    },
  });
  const endpointLabels = ['vpc', 'subnet', 'endpoint', 'direction'] as const;
  const endpointPackets = new Counter({
    name: 'megrez_endpoint_packets_total',
    help: 'Packets of an endpoint of this host, seen from the endpoint.',
    labelNames: endpointLabels,
    registers,
    collect: async () => {
      const traffic = await readTraffic(datapath);
      endpointPackets.reset();
      endpointBytes.reset();
      for (const [id, { ifindex }] of known.interfaces) {
        const endpoint = known.endpoints.get(id)?.endpoint;
        const counts = traffic.get(ifindex);
        if (endpoint === undefined || counts === undefined) continue;
        const { vpc, subnet, name } = endpoint;
        for (const direction of ['sent', 'received'] as const) {
          endpointPackets.inc({ vpc, subnet, endpoint: name, direction }, counts[direction].packets);
          endpointBytes.inc({ vpc, subnet, endpoint: name, direction }, counts[direction].bytes);
        }
      }
    },
  });
  const endpointBytes = new Counter({
    name: 'megrez_endpoint_bytes_total',
    help: 'Bytes of an endpoint of this host, seen from the endpoint.',
    labelNames: endpointLabels,
    registers,
  });
  const entries: Gauge = new Gauge({
    name: 'megrez_map_entries',
    help: 'Entries of a BPF map.',
    labelNames: ['map'],
    registers,
    collect: async () => {
      for (const map of datapathMaps) await rows.recount(map);
      for (const map of mapNames) if (!maps[map].type.endsWith('array')) entries.set({ map }, rows.count(map));
    },
  });
  const most = new Gauge({
    name: 'megrez_map_max_entries',
    help: 'Entries a BPF map can hold.',
    labelNames: ['map'],
    registers,
  });
  for (const map of mapNames) if (!maps[map].type.endsWith('array')) most.set({ map }, maps[map].max_entries);
  const writes: Counter = new Counter({
    name: 'megrez_map_writes_total',
    help: "Entries of BPF maps that the agent wrote or deleted; 'attached' is the heartbeat.",
    labelNames: ['map', 'operation'],
    registers,
    collect: () => {
      writes.reset();
      for (const map of mapNames) {
        for (const operation of ['put', 'delete'] as const)
          writes.inc({ map, operation }, rows.written(map, operation));
      }
    },
  });
  const apply = new Histogram({
    name: 'megrez_apply_seconds',
    help: 'From the arrival of a message to its acknowledgement.',
    buckets: latencies,
    registers,
  });
  const messages = new Counter({
    name: 'megrez_session_messages_total',
    help: 'Messages of the session with the controller.',
    labelNames: ['direction', 'kind'],
    registers,
  });
  const sessions = new Counter({
    name: 'megrez_sessions_total',
    help: 'Sessions opened since the agent started.',
    registers,
  });
  const attachedGauge: Gauge = new Gauge({
    name: 'megrez_session_attached',
    help: '1 while a controller answers and its snapshot is in the kernel.',
    registers,
    collect: () => attachedGauge.set(attached() ? 1 : 0),
  });
  const hooks: Gauge = new Gauge({
    name: 'megrez_nic_hook',
    help: '1 for the hook that answers lookups first.',
    labelNames: ['hook'],
    registers,
    collect: () => {
      for (const name of ['native', 'generic', 'tc']) hooks.set({ hook: name }, hook() === name ? 1 : 0);
    },
  });
  const endpoints: Gauge = new Gauge({
    name: 'megrez_endpoints',
    help: 'Endpoints of this host.',
    registers,
    collect: () => endpoints.set(known.endpoints.size),
  });
  const wrong: Gauge = new Gauge({
    name: 'megrez_problems',
    help: 'What is wrong on this host; megrez host get says what.',
    registers,
    collect: () => wrong.set(problems().length),
  });

  return {
    registry,
    applied: (seconds) => apply.observe(seconds),
    message: (direction, kind) => messages.inc({ direction, kind }),
    sessionOpened: () => sessions.inc(),
  };
};
