// Behaviours 8 and 9: many VPCs with the same CIDRs, addresses and MACs on the same hosts. Random traffic inside each of
// them arrives, and nothing ever arrives in another one.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSubnet, createVpc, endpointRequest, quiet, type TestCluster, up } from './harness/cluster';
import { flows, whole, wholeEchoes } from './harness/flows';
import { counters, dropsOf } from './harness/observe';
import { random } from './harness/random';

const seed = Number(process.env.MEGREZ_TEST_SEED ?? 20_261_121);
/** A million and more by hand: MEGREZ_TEST_PACKETS=1000000. */
const packets = Number(process.env.MEGREZ_TEST_PACKETS ?? 100_000);
const rate = 10_000;

const hosts = ['h1', 'h2', 'h3', 'h4'];
const vpcs = Array.from({ length: 8 }, (_, i) => `t${i}`);
/** Every VPC has all of these addresses but one, which is the one that only others have. */
const addresses = ['10.0.1.11', '10.0.1.12', '10.0.1.13', '10.0.2.11', '10.0.2.12', '10.0.2.13'];

interface Tenant {
  readonly endpoints: readonly Endpoint[];
  readonly missing: string;
}

let cluster: TestCluster;
let tenants: readonly Tenant[];

beforeAll(async () => {
  const { below, pick, shuffle } = random(seed);
  cluster = await up({ hosts: hosts.length });
  const made: Tenant[] = [];
  for (const [i, vpc] of vpcs.entries()) {
    await createVpc(cluster, vpc, '10.0.0.0/16', 1 + below(3));
    await createSubnet(cluster, vpc, 'one', '10.0.1.0/24', shuffle(hosts).slice(0, 1 + below(3)));
    await createSubnet(cluster, vpc, 'two', '10.0.2.0/24', shuffle(hosts).slice(0, 1 + below(3)));
    const missing = addresses[i % addresses.length] as string;
    const requests = addresses
      .filter((ip) => ip !== missing)
      .map((ip) => {
        const subnet = ip.startsWith('10.0.1.') ? 'one' : 'two';
        return endpointRequest(vpc, subnet, `e${ip.split('.').at(-1)}`, pick(hosts), { ip });
      });
    const { results } = await cluster.api.batchCreateEndpoints({ requests }).response;
    const endpoints = results.map(({ result }) => {
      if (result.oneofKind !== 'endpoint') {
        throw new Error(`seed ${seed}: not made: ${JSON.stringify(result)}`);
      }
      return result.endpoint;
    });
    made.push({ endpoints, missing });
  }
  tenants = made;
  await quiet(cluster, ...tenants.flatMap(({ endpoints }) => endpoints));
});

afterAll(() => cluster?.down());

test('the same addresses and MACs in every VPC', () => {
  for (const ip of addresses) {
    const those = tenants.flatMap(({ endpoints }) => endpoints.filter((endpoint) => endpoint.ip === ip));
    expect(those.length).toBeGreaterThan(vpcs.length / 2);
    expect(new Set(those.map(({ mac }) => mac)).size).toBe(1);
    expect(new Set(those.map(({ vni }) => vni)).size).toBe(those.length);
  }
});

test(`${packets} packets at random between the endpoints of each VPC (seed ${seed}): all arrive, none elsewhere`, async () => {
  const all = flows(cluster, seed);
  const talkers = await Promise.all(
    tenants.flatMap(({ endpoints }) => endpoints.map((endpoint) => all.talker(endpoint))),
  );
  const { pick } = random(seed + 1);
  for (const [i, talker] of talkers.entries()) {
    const { vpc, ip } = talker.endpoint;
    const { endpoints, missing } = tenants[vpcs.indexOf(vpc)] as Tenant;
    talker.toAny(
      endpoints.filter((other) => other.ip !== ip),
      {
        rate: rate / talkers.length,
        count: Math.ceil(packets / talkers.length),
        size: pick([32, 64, 500, 1400]),
        echo: i % 4 === 0,
      },
    );
    // Somebody of another VPC has this address, and its MAC. In the own subnet only a neighbour known for good sends frames.
    if (ip.split('.')[2] === missing.split('.')[2]) {
      const mac = tenants.flatMap((tenant) => tenant.endpoints).find((other) => other.ip === missing)?.mac ?? '';
      await cluster.must({ endpoint: talker.endpoint }, [
        'ip',
        'neigh',
        'replace',
        missing,
        'lladdr',
        mac,
        'dev',
        'eth0',
        'nud',
        'permanent',
      ]);
    }
    talker.stray(missing, { rate: 100, count: Math.ceil(packets / talkers.length / 10) });
  }
  await all.over();
  const account = await all.finish();
  expect(account.sent).toBeGreaterThanOrEqual(packets);
  expect(account).toMatchObject({ ...whole, echoes: wholeEchoes });
  // What was meant for nobody was dropped for that reason, and nothing for a reason that says it came to a wrong place.
  for (const host of hosts) {
    const drops = Object.keys(await dropsOf(cluster, host)).map((name) => name.split('/')[1]);
    expect(drops.filter((verdict) => /not_here|foreign|forged|no_port|spoofed|malformed/.test(verdict ?? ''))).toEqual(
      [],
    );
  }
  const unknown = await Promise.all(hosts.map((host) => counters(cluster, host)));
  const named = unknown
    .flatMap((counted) => Object.keys(counted))
    .filter((name) => /unknown_address|none|unreachable/.test(name));
  expect(named.length).toBeGreaterThan(0);
}, 600_000);
