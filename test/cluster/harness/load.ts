// Traffic of every kind between many endpoints while something happens: one-way UDP, echoed UDP, ping, TCP, and lookups all
// the time.
import type { Endpoint } from '@megrez/model';
import { endpointRequest, quiet, type TestCluster } from './cluster';
import { type Account, flows } from './flows';
import { type Pings, pinging, type Stream, stream } from './traffic';

export interface Parties {
  /** Talk all the time, each with the next one; at least two. */
  readonly talkers: readonly Endpoint[];
  /** Are looked up by every talker, again and again. */
  readonly rare: readonly Endpoint[];
}

/** Endpoints for `load` in these subnets, spread over these hosts. */
export async function parties(
  cluster: TestCluster,
  vpc: string,
  subnets: readonly string[],
  hosts: readonly string[],
  { talkers = 4, rare = 32 }: { readonly talkers?: number; readonly rare?: number } = {},
): Promise<Parties> {
  const requests = Array.from({ length: talkers + rare }, (_, i) => {
    const subnet = subnets[i % subnets.length] as string;
    const host = hosts[Math.floor(i / subnets.length) % hosts.length] as string;
    return endpointRequest(vpc, subnet, `${i < talkers ? 'talker' : 'rare'}-${i}`, host);
  });
  const { results } = await cluster.api.batchCreateEndpoints({ requests }).response;
  const made = results.map(({ result }) => {
    if (result.oneofKind !== 'endpoint') {
      throw new Error(`not made: ${JSON.stringify(result)}`);
    }
    return result.endpoint;
  });
  await quiet(cluster, ...made);
  for (const endpoint of made.slice(0, talkers)) {
    // A kernel that asks for a neighbour gives up for a second; what is tested is the lookup in the network.
    const near = made.filter((other) => other.subnet === endpoint.subnet && other !== endpoint);
    const lines = near.map(({ ip, mac }) => `neigh replace ${ip} lladdr ${mac} dev eth0 nud permanent\n`);
    await cluster.must({ endpoint }, ['ip', '-batch', '-'], lines.join(''));
  }
  return { talkers: made.slice(0, talkers), rare: made.slice(talkers) };
}

export interface Outcome {
  readonly account: Account;
  readonly pings: readonly Pings[];
  readonly streams: readonly Stream[];
}

export interface Load {
  finish(): Promise<Outcome>;
}

export interface LoadOptions {
  /** Of each talker, per second; without it 500. */
  readonly rate?: number;
  /** Packets to rarely used addresses, of each talker, per second; without it 25. With short leases many of them are lookups. */
  readonly lookups?: number;
  readonly seed?: number;
}

export async function load(
  cluster: TestCluster,
  { talkers, rare }: Parties,
  { rate = 500, lookups = 25, seed = 1 }: LoadOptions = {},
): Promise<Load> {
  const account = flows(cluster, seed);
  const running = await Promise.all(talkers.map((endpoint) => account.talker(endpoint)));
  await Promise.all(rare.map((endpoint) => account.talker(endpoint)));
  const next = (i: number) => talkers[(i + 1) % talkers.length] as Endpoint;
  for (const [i, talker] of running.entries()) {
    talker.to(next(i), { rate, echo: i % 2 === 0 });
    talker.toAny(rare, { rate: lookups });
  }
  const pings = await Promise.all(talkers.map((endpoint, i) => pinging(cluster, { endpoint }, next(i).ip, 20)));
  const streams = await Promise.all(
    talkers.slice(0, 2).map((from, i) => stream(cluster, from, next(i), { rate: 1e6 })),
  );
  return {
    finish: async () => ({
      streams: await Promise.all(streams.map(({ finish }) => finish())),
      pings: await Promise.all(pings.map(({ finish }) => finish())),
      account: await account.finish(),
    }),
  };
}
