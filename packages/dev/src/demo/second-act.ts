// Traffic between subnets, and an endpoint that moves while it is pinged.
import type { Endpoint } from '@megrez/model';
import type { Narrator } from './narrate';
import { bouncer, createEndpoint, divider, list, pathOf, type Scene, samplesOf, verdictsOf, vpc } from './scene';
import { ping, pingWhile } from './traffic';

const subnet = 'db';
/** No endpoint of the other subnet is there: this host knows nothing of it. */
const home = 'h5';
const target = 'h2';

/**
 * @param from an endpoint that no other host knows yet
 * @returns the subnets it made
 */
export async function tellSecondAct(scene: Scene, from: Endpoint): Promise<readonly string[]> {
  const d = await create(scene);
  await crossSubnets(scene, from, d);
  await move(scene, from, d);
  return [subnet];
}

async function create({ client, tell }: Scene): Promise<Endpoint> {
  tell.step('A second subnet of the VPC, and an endpoint in it');
  const request = { vpc, name: subnet, cidrs: ['10.0.2.0/24'], bouncers: 1, bouncerHosts: [bouncer], requestId: '' };
  const made = await client.provisioning.createSubnet(request).response;
  tell.told(`subnet ${vpc}/${made.name} ${made.cidrs.join(', ')}, gateway ${made.gateways.join(', ')}`);
  const { endpoint } = await createEndpoint(client, subnet, 'd', home);
  tell.told(`endpoint ${pathOf(endpoint)} is ${endpoint.ip} on ${endpoint.host}`, endpoint.host === home);
  return endpoint;
}

/** What became of packets on a host between two looks at it. */
async function watch<T>(scene: Scene, hosts: readonly string[], work: () => Promise<T>) {
  const look = () => Promise.all(hosts.map(async (host) => verdictsOf(await samplesOf(scene, host))));
  const before = await look();
  const result = await work();
  const after = await look();
  const seen = after.map(
    (verdicts, i) =>
      new Map(
        [...verdicts]
          .map(([verdict, packets]) => [verdict, packets - (before[i]?.get(verdict) ?? 0)] as const)
          .filter(([, packets]) => packets > 0),
      ),
  );
  return { result, seen };
}

/** Of each direction the first packet alone passes the host. */
const toldOnce = (tell: Narrator, who: string, seen: ReadonlyMap<string, number>) =>
  tell.told(
    `${who} saw one packet of each direction and passed it on: ${list(seen)}`,
    seen.size === 1 && seen.get('forwarded') === 2,
  );

async function crossSubnets(scene: Scene, from: Endpoint, d: Endpoint): Promise<void> {
  const { cluster, tell, signal } = scene;
  tell.step('Endpoints of different subnets talk: no router, and nothing in between after the first packet');
  const hosts = [divider, bouncer];
  const { result, seen } = await watch(scene, hosts, () => ping(cluster.dir, pathOf(from), d.ip, signal));
  const { sent, received, best_ms } = result;
  tell.told(`ping ${from.name} → d: ${received} of ${sent} came back, the fastest in ${best_ms} ms`, received === sent);
  const [atDivider = new Map(), atBouncer = new Map()] = seen;
  toldOnce(tell, `${divider}, the divider,`, atDivider);
  toldOnce(tell, `${bouncer}, the bouncer,`, atBouncer);
}

async function move(scene: Scene, from: Endpoint, d: Endpoint): Promise<void> {
  const { client, cluster, tell, signal } = scene;
  tell.step('An endpoint moves to another host, with its address, while it is pinged 100 times a second');
  let took_ms = 0;
  const { result, seen } = await watch(scene, [d.host], () =>
    pingWhile(cluster.dir, pathOf(from), d.ip, signal, async () => {
      const started = performance.now();
      const moved = await client.provisioning.moveEndpoint({
        ...{ vpc, subnet, name: d.name, host: target, force: false, timeoutMs: 0 },
        attachment: { kind: { oneofKind: 'managed', managed: {} } },
      }).response;
      took_ms = performance.now() - started;
      tell.told(
        `${pathOf(d)} is on ${moved.host} now and still ${moved.ip}; the move took ${took_ms.toFixed(1)} ms`,
        moved.host === target && moved.ip === d.ip,
      );
    }),
  );
  const { sent, received } = result;
  tell.told(
    `ping ${from.name} → d: ${received} of ${sent} came back, ${sent - received} lost`,
    sent > 100 && received === sent,
  );
  const late = seen[0]?.get('forwarded_moved') ?? 0;
  const packets = late === 1 ? '1 packet' : `${late} packets`;
  // A fifth of what was sent after the move is room for a busy machine; without the notice it would be all of it.
  tell.told(
    `${packets} still came to ${d.host}, which passed them on and said so; then ${from.host} sent straight to ${target}`,
    late > 0 && late <= 20,
  );
}
