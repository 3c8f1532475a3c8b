// What can be seen from outside: counters, rows, links, pins and namespaces of a host, and the keys of etcd.
import { request } from 'node:http';
import type { maps, ProgramWord, VerdictWord } from '@megrez/abi';
import { agentSocket, layout } from '@megrez/dev';
import type { TestCluster } from './cluster';

/** Packets by `program/verdict`, e.g. `bouncer/answered`; those that are zero are absent. */
export type Counters = Readonly<Partial<Record<`${ProgramWord}/${VerdictWord}`, number>>>;

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false, timeout: 5000 }, (response) => {
      response
        .toArray()
        .then((chunks) => resolve(Buffer.concat(chunks).toString()))
        .catch(reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`GET ${path} of ${socketPath} did not answer`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** One value of the agent's metrics; its labels in the order they are printed in. */
export async function metric(cluster: TestCluster, host: string, name: string): Promise<number> {
  const text = await get(agentSocket(layout(cluster.dir), host), '/metrics');
  const line = text.split('\n').find((row) => row.startsWith(`${name} `));
  if (line === undefined) {
    throw new Error(`host ${host} has no metric ${name}`);
  }
  return Number(line.slice(name.length + 1));
}

/** Counters of a host's programs, from its agent. */
export async function counters(cluster: TestCluster, host: string): Promise<Counters> {
  const text = await get(agentSocket(layout(cluster.dir), host), '/metrics');
  const found = text.matchAll(/^megrez_packets_total\{program="(\w+)",verdict="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries(
    [...found]
      .filter(([, , , value]) => value !== '0')
      .map(([, program, verdict, value]) => [`${program}/${verdict}`, Number(value)]),
  ) as Counters;
}

/** What was counted since `before`. Frames left to the stack are not ours (ARP and IPv6 of the underlay), so not told. */
export async function countedSince(cluster: TestCluster, host: string, before: Counters): Promise<Counters> {
  const after = await counters(cluster, host);
  const grown = Object.entries(after as Readonly<Record<string, number>>)
    .filter(([name]) => !name.endsWith('/pass'))
    .map(([name, value]) => [name, value - (before[name as keyof Counters] ?? 0)] as const)
    .filter(([, value]) => value !== 0);
  return Object.fromEntries(grown) as Counters;
}

/** Packets dropped, by `vni/verdict`. */
export async function dropsOf(cluster: TestCluster, host: string): Promise<Readonly<Record<string, number>>> {
  const text = await get(agentSocket(layout(cluster.dir), host), '/metrics');
  const found = text.matchAll(/^megrez_drops_total\{vni="(\d+)",verdict="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, vni, verdict, value]) => [`${vni}/${verdict}`, Number(value)]));
}

/**
 * Maps that the agent writes: everything but what the datapath learns by itself, the host's own fixed rows, and what stays
 * for two hard leases after a deletion (`tombstones`, and the `networks` they are in).
 */
export const agentMaps = [
  'ports',
  'endpoints',
  'mappings',
  'routes',
  'slots',
  'holdings',
  'services',
  'service_ports',
  'backends',
  'budgets',
  'traffic',
] as const;
export type MapWord = keyof typeof maps;

/** Raw keys and values of a map, straight from the kernel: no agent is asked. */
export async function rows(
  cluster: TestCluster,
  host: string,
  map: MapWord,
): Promise<readonly { readonly key: Buffer; readonly value: Buffer }[]> {
  const text = await cluster.must({ host }, ['bpftool', '-j', 'map', 'dump', 'pinned', `/sys/fs/bpf/megrez/${map}`]);
  const bytes = (hex: readonly string[] = []) => Buffer.from(hex.map((byte) => Number.parseInt(byte, 16)));
  const list = JSON.parse(text) as readonly { readonly key: string[]; readonly value?: string[] }[];
  return list.map(({ key, value }) => ({ key: bytes(key), value: bytes(value) }));
}

/** Everything of a host that intent makes. */
export interface Footprint {
  readonly rows: Readonly<Record<string, readonly string[]>>;
  readonly links: readonly string[];
  readonly pins: readonly string[];
  readonly namespaces: readonly string[];
}

/** All of it in one call in the host: rows by map, names of links, pins and namespaces. */
export async function footprint(cluster: TestCluster, host: string): Promise<Footprint> {
  const state = `${layout(cluster.dir).hosts}/${host}/netns`;
  const script = `
    for map in ${agentMaps.join(' ')}; do echo "map $map"; bpftool -j map dump pinned /sys/fs/bpf/megrez/$map; done
    echo links; ls /sys/class/net
    echo pins; find /sys/fs/bpf/megrez | sort
    echo namespaces; ls ${state}; grep -o ' ${state}[^ ]*' /proc/self/mountinfo || :`;
  const text = await cluster.must({ host }, ['sh', '-c', script]);
  const [head = '', links = '', pins = '', namespaces = ''] = text.split(/^(?:links|pins|namespaces)$/m);
  const found = [...head.matchAll(/^map (\w+)\n(.*)$/gm)].map(([, map = '', json = '']) => {
    const list = JSON.parse(json) as readonly { readonly key: string[] }[];
    return [map, list.map(({ key }) => JSON.stringify(key)).sort()] as const;
  });
  const lines = (block: string) => block.trim().split('\n').filter(Boolean);
  return { rows: Object.fromEntries(found), links: lines(links), pins: lines(pins), namespaces: lines(namespaces) };
}

export async function footprints(cluster: TestCluster): Promise<Readonly<Record<string, Footprint>>> {
  const hosts = [...cluster.hosts.keys()];
  const found = await Promise.all(hosts.map(async (host) => [host, await footprint(cluster, host)] as const));
  return Object.fromEntries(found);
}

/** Ids of the programs behind the pinned links of a host: a replaced program has a new one. */
export async function programIds(cluster: TestCluster, host: string): Promise<readonly number[]> {
  const script = 'for link in /sys/fs/bpf/megrez/links/*; do bpftool -j link show pinned "$link"; done';
  const text = await cluster.must({ host }, ['sh', '-c', script]);
  return [...text.matchAll(/"prog_id":(\d+)/g)].map(([, id]) => Number(id));
}

/** Every key of etcd below /megrez/v1/ with its value in base64. */
export async function dump(cluster: TestCluster): Promise<ReadonlyMap<string, string>> {
  const body = JSON.stringify({ key: btoa('/megrez/v1/'), range_end: btoa('/megrez/v10') });
  const answer = await fetch(`${cluster.etcd}/v3/kv/range`, { method: 'POST', body });
  const { kvs = [] } = (await answer.json()) as { readonly kvs?: readonly { key: string; value?: string }[] };
  return new Map(kvs.map(({ key, value = '' }) => [Buffer.from(key, 'base64').toString('latin1'), value]));
}
