// One VPC on three hosts, told step by step. Every line with a mark is checked before it is printed.
import type { Client } from '@megrez/client';
import type { Endpoint } from '@megrez/model';
import { hostCommand } from '../exec';
import { agentSocket, layout } from '../layout';
import { readMetrics, type Sample } from '../metrics';
import type { DevCluster } from '../up';
import { median, type Narrator, round } from './narrate';
import { collect, ping, transfer } from './traffic';

export interface Scene {
  readonly cluster: DevCluster;
  readonly client: Client;
  readonly tell: Narrator;
  readonly signal: AbortSignal;
}

const vpc = 'acme';
const subnet = 'web';
const bouncer = 'h3';
const more = 40;

const pathOf = ({ vpc, subnet, name }: Endpoint) => `${vpc}/${subnet}/${name}`;

export async function tellStory(scene: Scene): Promise<void> {
  const interfaces = await interfacesOf(scene);
  const [a, b] = await create(scene);
  await talk(scene, a, b);
  await lookAtBouncer(scene);
  await createMore(scene, a);
  await lookAtMaps(scene);
  await remove(scene, interfaces);
}

async function create({ client, tell }: Scene): Promise<readonly [Endpoint, Endpoint]> {
  const api = client.provisioning;
  tell.step(`A VPC, a subnet whose one bouncer is ${bouncer}, and an endpoint on each other host`);
  const made = await api.createVpc({ name: vpc, cidrs: ['10.0.0.0/16'], dividers: 0, requestId: '' }).response;
  tell.told(`VPC ${made.name} ${made.cidrs.join(', ')} has VNI ${made.vni}`, made.vni > 0);
  const request = { vpc, name: subnet, cidrs: ['10.0.1.0/24'], bouncers: 1, bouncerHosts: [bouncer], requestId: '' };
  const web = await api.createSubnet(request).response;
  tell.told(
    `subnet ${vpc}/${web.name} ${web.cidrs.join(', ')}: bouncer ${web.bouncerHosts.join(', ')}, gateway ${web.gateways.join(', ')}`,
    web.bouncerHosts.join() === bouncer,
  );
  const endpoints = [await createEndpoint(client, 'a', 'h1'), await createEndpoint(client, 'b', 'h2')] as const;
  for (const { endpoint, took_ms } of endpoints) {
    const { ip, mac, host } = endpoint;
    tell.told(
      `endpoint ${pathOf(endpoint)} is ${ip} (${mac}) on ${host}; ready in ${round(took_ms)} ms, interface included`,
    );
  }
  return [endpoints[0].endpoint, endpoints[1].endpoint];
}

async function createEndpoint({ provisioning }: Client, name: string, host: string) {
  const started = performance.now();
  const endpoint = await provisioning.createEndpoint({
    vpc,
    subnet,
    name,
    host,
    ip: '',
    mac: '',
    attachment: { kind: { oneofKind: 'managed', managed: {} } },
    requestId: '',
    timeoutMs: 0,
  }).response;
  return { endpoint, took_ms: performance.now() - started };
}

async function talk({ cluster: { dir }, tell, signal }: Scene, a: Endpoint, b: Endpoint): Promise<void> {
  tell.step('They talk: ping, TCP and UDP, both ways');
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { sent, received, best_ms } = await ping(dir, pathOf(from), to.ip, signal);
    tell.told(
      `ping ${from.name} → ${to.name}: ${received} of ${sent} came back, the fastest in ${best_ms} ms`,
      received === sent,
    );
  }
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const server = { endpoint: pathOf(to), ip: to.ip };
    const tcp = await transfer(dir, 'tcp', pathOf(from), server, signal);
    tell.told(`TCP ${from.name} → ${to.name}: ${round(tcp.bits_per_s / 1e9)} Gbit/s`, tcp.bits_per_s > 0);
    const udp = await transfer(dir, 'udp', pathOf(from), server, signal);
    tell.told(
      `UDP ${from.name} → ${to.name}: ${udp.lost} of ${udp.packets} datagrams lost`,
      udp.packets > 0 && udp.lost === 0,
    );
  }
}

/** Maps whose rows go with their intent; a VNI stays known while peers may still have a path into it. */
const intentMaps = ['ports', 'endpoints', 'mappings', 'routes', 'slots', 'holdings'];

/** How many rows a host's maps of these names hold. */
async function rowsOf({ cluster: { dir } }: Scene, host: string, maps: readonly string[]): Promise<number> {
  const samples = await readMetrics(agentSocket(layout(dir), host));
  return samples
    .filter(({ name, labels }) => name === 'megrez_map_entries' && maps.includes(labels.map ?? ''))
    .reduce((sum, { value }) => sum + value, 0);
}

async function lookAtMaps(scene: Scene): Promise<void> {
  const { cluster, tell } = scene;
  tell.step('Who had to learn of them');
  for (const { name } of cluster.hosts) {
    const mappings = await rowsOf(scene, name, ['mappings']);
    const expected = name === bouncer ? more + 2 : 0;
    tell.told(
      `${name} holds ${mappings} mappings${name === bouncer ? ': the bouncer, and nobody else' : ''}`,
      mappings === expected,
    );
  }
}

/** What a host did with packets of the tenants, by verdict, summed over its programs. */
function verdictsOf(samples: readonly Sample[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    if (name === 'megrez_packets_total' && labels.verdict && labels.verdict !== 'pass' && value > 0) {
      sums.set(labels.verdict, (sums.get(labels.verdict) ?? 0) + value);
    }
  }
  return sums;
}

/** Where lookups are answered first. */
const hooks: Readonly<Record<string, string>> = { native: 'native XDP', generic: 'generic XDP', tc: 'tc' };

async function lookAtBouncer({ cluster: { dir }, tell }: Scene): Promise<void> {
  tell.step(`What ${bouncer}, the bouncer, saw of all this`);
  const samples = await readMetrics(agentSocket(layout(dir), bouncer));
  const hook = samples.find(({ name, value }) => name === 'megrez_nic_hook' && value === 1)?.labels.hook ?? '';
  tell.told(`it answers lookups in ${hooks[hook] ?? hook}`, hook !== '');
  const verdicts = verdictsOf(samples);
  const answered = verdicts.get('answered') ?? 0;
  tell.told(
    `${answered} ARP requests answered: two frames per direction (a request in, its reply out), ${2 * answered} in all`,
    answered === 2,
  );
  const rest = [...verdicts].filter(([verdict]) => verdict !== 'answered');
  const seen = rest.length === 0 ? 'nothing' : rest.map(([verdict, packets]) => `${packets} × ${verdict}`).join(', ');
  tell.told(`besides these: ${seen}; not one data packet`, rest.length === 0);
}

async function createMore({ client, cluster: { dir }, tell, signal }: Scene, a: Endpoint): Promise<void> {
  tell.step(`${more} more endpoints, one after the other: the time of each in ms`);
  const times: number[] = [];
  let last = a;
  for (let i = 1; i <= more; i += 1) {
    signal.throwIfAborted();
    const name = `e${i}`;
    const { endpoint, took_ms } = await createEndpoint(client, name, i % 2 === 1 ? 'h1' : 'h2');
    times.push(took_ms);
    last = endpoint;
    if (i % 10 === 0) {
      tell.told(
        `e${i - 9} … ${name}: ${times
          .slice(-10)
          .map((time) => round(time))
          .join('  ')}`,
      );
    }
  }
  const [first, final] = [median(times.slice(0, 10)), median(times.slice(-10))];
  // Twice leaves room for a busy machine; a cost that grew with the number of endpoints would be far above.
  tell.told(`median of the first ten ${round(first)} ms, of the last ten ${round(final)} ms`, final < 2 * first);
  const { sent, received } = await ping(dir, pathOf(a), last.ip, signal);
  tell.told(`ping a → ${last.name}: ${received} of ${sent} came back`, received === sent);
}

async function remove(scene: Scene, interfaces: ReadonlyMap<string, string>): Promise<void> {
  const { client, tell } = scene;
  const api = client.provisioning;
  tell.step('Everything is removed');
  const { endpoints } = await api.listEndpoints({ vpc, subnet, host: '', pageSize: 0, pageToken: '' }).response;
  for (const { name } of endpoints) {
    await api.deleteEndpoint({ vpc, subnet, name, timeoutMs: 0 }).response;
  }
  await api.deleteSubnet({ vpc, name: subnet, cascade: false }).response;
  await api.deleteVpc({ name: vpc, cascade: false }).response;
  const { vpcs, subnets, endpoints: left } = await api.getStatus({}).response;
  tell.told(
    `${endpoints.length} endpoints, the subnet and the VPC are deleted; left in the API: ${vpcs + subnets + left} objects`,
    endpoints.length === more + 2 && vpcs + subnets + left === 0,
  );
  const rows = await Promise.all(scene.cluster.hosts.map(({ name }) => rowsOf(scene, name, intentMaps)));
  tell.told(
    `rows left in the maps of ${scene.cluster.hosts.map(({ name }, i) => `${name}: ${rows[i]}`).join(', ')}`,
    rows.every((count) => count === 0),
  );
  const after = await interfacesOf(scene);
  for (const [host, names] of interfaces) {
    tell.told(`interfaces of ${host}: ${after.get(host)}, as before`, after.get(host) === names);
  }
}

/** Names of every host's interfaces. */
async function interfacesOf({ cluster: { dir, hosts }, signal }: Scene): Promise<ReadonlyMap<string, string>> {
  const lists = hosts.map(async ({ name }) => {
    const { text } = await collect(dir, hostCommand(name, ['ls', '/sys/class/net'], { dir }), signal);
    return [name, text.trim().split('\n').join(' ')] as const;
  });
  return new Map(await Promise.all(lists));
}
