// One VPC on three hosts, told step by step. Every line with a mark is checked before it is printed.
import type { Endpoint } from '@megrez/model';
import { hostCommand } from '../exec';
import { median, round } from './narrate';
import { bouncer, createEndpoint, divider, list, pathOf, type Scene, samplesOf, verdictsOf, vpc } from './scene';
import { tellSecondAct } from './second-act';
import { collect, ping, transfer } from './traffic';

const subnet = 'web';
const more = 40;

export async function tellStory(scene: Scene): Promise<void> {
  const interfaces = await interfacesOf(scene);
  const [a, b] = await create(scene);
  await talk(scene, a, b);
  await lookAtBouncer(scene);
  const stranger = await createMore(scene, a);
  await lookAtMaps(scene);
  const others = await tellSecondAct(scene, stranger);
  await remove(scene, others, interfaces);
}

async function create({ client, cluster, tell }: Scene): Promise<readonly [Endpoint, Endpoint]> {
  const api = client.provisioning;
  tell.step(`A VPC, a subnet whose one bouncer is ${bouncer}, and endpoints on h1 and h2`);
  // Which host a VPC's dividers are on is placement's to choose: there is one it may choose now.
  const mayOwnSlots = async (name: string, eligible: boolean) =>
    api.updateHost({ name, weight: 0, zone: '', ineligible: !eligible });
  for (const { name } of cluster.hosts) await mayOwnSlots(name, name === divider);
  const made = await api.createVpc({ name: vpc, cidrs: ['10.0.0.0/16'], dividers: 1, requestId: '' }).response;
  await mayOwnSlots(bouncer, true);
  tell.told(
    `VPC ${made.name} ${made.cidrs.join(', ')} has VNI ${made.vni} and ${made.dividers} divider, ${divider}`,
    made.vni > 0 && made.dividers === 1,
  );
  const request = { vpc, name: subnet, cidrs: ['10.0.1.0/24'], bouncers: 1, bouncerHosts: [bouncer], requestId: '' };
  const web = await api.createSubnet(request).response;
  tell.told(
    `subnet ${vpc}/${web.name} ${web.cidrs.join(', ')}: bouncer ${web.bouncerHosts.join(', ')}, gateway ${web.gateways.join(', ')}`,
    web.bouncerHosts.join() === bouncer,
  );
  const endpoints = [
    await createEndpoint(client, subnet, 'a', 'h1'),
    await createEndpoint(client, subnet, 'b', 'h2'),
  ] as const;
  for (const { endpoint, took_ms } of endpoints) {
    const { ip, mac, host } = endpoint;
    tell.told(
      `endpoint ${pathOf(endpoint)} is ${ip} (${mac}) on ${host}; ready in ${round(took_ms)} ms, interface included`,
    );
  }
  return [endpoints[0].endpoint, endpoints[1].endpoint];
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
async function rowsOf(scene: Scene, host: string, maps: readonly string[]): Promise<number> {
  const samples = await samplesOf(scene, host);
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

/** Where lookups are answered first. */
const hooks: Readonly<Record<string, string>> = { native: 'native XDP', generic: 'generic XDP', tc: 'tc' };

async function lookAtBouncer(scene: Scene): Promise<void> {
  const { tell } = scene;
  tell.step(`What ${bouncer}, the bouncer, saw of all this`);
  const samples = await samplesOf(scene, bouncer);
  const hook = samples.find(({ name, value }) => name === 'megrez_nic_hook' && value === 1)?.labels.hook ?? '';
  tell.told(`it answers lookups in ${hooks[hook] ?? hook}`, hook !== '');
  const verdicts = verdictsOf(samples);
  const answered = verdicts.get('answered') ?? 0;
  tell.told(
    `${answered} ARP requests answered: two frames per direction (a request in, its reply out), ${2 * answered} in all`,
    answered === 2,
  );
  const rest = new Map([...verdicts].filter(([verdict]) => verdict !== 'answered'));
  tell.told(`besides these: ${list(rest)}; not one data packet`, rest.size === 0);
}

/** Rows written into the maps of all hosts so far, but for those that only say that an agent is attached. */
async function writesOf(scene: Scene): Promise<number> {
  const samples = await Promise.all(scene.cluster.hosts.map(({ name }) => samplesOf(scene, name)));
  return samples
    .flat()
    .filter(({ name, labels }) => name === 'megrez_map_writes_total' && labels.map !== 'attached')
    .reduce((sum, { value }) => sum + value, 0);
}

/** @returns the first of them, which has not talked to anybody */
async function createMore(scene: Scene, a: Endpoint): Promise<Endpoint> {
  const {
    client,
    cluster: { dir },
    tell,
    signal,
  } = scene;
  tell.step(`${more} more endpoints, one after the other: the time of each in ms`);
  const times: number[] = [];
  const made: Endpoint[] = [];
  const writes = [await writesOf(scene)];
  for (let i = 1; i <= more; i += 1) {
    signal.throwIfAborted();
    const name = `e${i}`;
    const { endpoint, took_ms } = await createEndpoint(client, subnet, name, i % 2 === 1 ? 'h1' : 'h2');
    times.push(took_ms);
    made.push(endpoint);
    if (i % 10 === 0) {
      writes.push(await writesOf(scene));
      tell.told(
        `e${i - 9} … ${name}: ${times
          .slice(-10)
          .map((time) => round(time))
          .join('  ')}`,
      );
    }
  }
  // Time is told as it was: a busy machine has its own. What is claimed is the work, and that is counted.
  tell.told(
    `median of the first ten ${round(median(times.slice(0, 10)))} ms, of the last ten ${round(median(times.slice(-10)))} ms`,
  );
  const [early = 0, , , late = 0] = writes.slice(1).map((sum, ten) => sum - (writes[ten] ?? 0));
  tell.told(
    `rows written on all hosts together: ${early} for the first ten, ${late} for the last ten`,
    early > 0 && late === early,
  );
  const [first = a] = made;
  const last = made.at(-1) ?? a;
  const { sent, received } = await ping(dir, pathOf(a), last.ip, signal);
  tell.told(`ping a → ${last.name}: ${received} of ${sent} came back`, received === sent);
  return first;
}

async function remove(scene: Scene, others: readonly string[], interfaces: ReadonlyMap<string, string>): Promise<void> {
  const { client, tell } = scene;
  const api = client.provisioning;
  tell.step('Everything is removed');
  const { endpoints } = await api.listEndpoints({ vpc, subnet: '', host: '', pageSize: 0, pageToken: '' }).response;
  for (const { subnet, name } of endpoints) {
    await api.deleteEndpoint({ vpc, subnet, name, timeoutMs: 0 }).response;
  }
  for (const name of [subnet, ...others]) await api.deleteSubnet({ vpc, name, cascade: false }).response;
  await api.deleteVpc({ name: vpc, cascade: false }).response;
  const { vpcs, subnets, endpoints: left } = await api.getStatus({}).response;
  tell.told(
    `${endpoints.length} endpoints, ${1 + others.length} subnets and the VPC are deleted; left in the API: ${vpcs + subnets + left} objects`,
    endpoints.length === more + 3 && vpcs + subnets + left === 0,
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
