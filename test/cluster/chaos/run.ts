// A seeded run of changes and faults on one cluster, under traffic that is accounted for to the last packet.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect } from '@megrez/client';
import { layout } from '@megrez/dev';
import { type Endpoint, JobState, LeaderRecord, type ShardProgress } from '@megrez/model';
import { createEndpoint, createVpc, shortLeaseArguments, type TestCluster, up } from '../harness/cluster';
import { type Account, clock_ms, flows } from '../harness/flows';
import { load, type Outcome, type Parties, parties } from '../harness/load';
import { type Loss, unexcused } from '../harness/lookups';
import { dropsOf, dump, rows } from '../harness/observe';
import { attached, cut, die, mend } from '../harness/partition';
import { type Place, place } from '../harness/place';
import { shardsOf } from '../harness/shards';
import { ping } from '../harness/traffic';
import { until } from '../harness/until';
import {
  type Change,
  controllers,
  describeChange,
  type Fault,
  hosts,
  movers,
  type Round,
  rounds,
  spares,
  subnets,
  users,
} from './plan';

const vpc = 'chaos';
export interface ChaosOptions {
  readonly seed: number;
  /** No round begins after this. */
  readonly duration_ms: number;
  readonly rounds?: number;
  /** Hears the timeline, a line at a time. */
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal;
}

export interface Report {
  readonly rounds: number;
  readonly traffic: Outcome;
  /** Of the traffic to endpoints that move. */
  readonly moved: Account;
  /** Lookups lost by hosts that did not know yet that an owner was gone. */
  readonly excused: number;
  /** What must not be: one sentence each, with its time. */
  readonly faults: readonly string[];
}

interface Mover {
  readonly endpoint: Endpoint;
  readonly places: readonly [Place, Place];
  at: number;
}

/** @throws what an aborted signal was aborted with; Error when the cluster cannot even be set up */
export async function chaos(options: ChaosOptions): Promise<Report> {
  const cluster = await up({
    hosts: hosts.length,
    controllers: controllers.length,
    controllerArguments: shortLeaseArguments,
  });
  const clients = controllers.map((name) =>
    connect(`unix:${join(layout(cluster.dir).sockets, `${name}.sock`)}`, { deadline_ms: 20_000 }),
  );
  try {
    return await run(cluster, clients, options);
  } finally {
    for (const client of clients) {
      client.close();
    }
    await cluster.down();
  }
}

async function run(cluster: TestCluster, clients: readonly Client[], options: ChaosOptions): Promise<Report> {
  const { seed, duration_ms, say, signal } = options;
  await createVpc(cluster, vpc, '10.0.0.0/16', 2);
  for (const [i, name] of subnets.entries()) {
    const request = { vpc, name, cidrs: [`10.0.${i + 1}.0/24`], bouncers: 2, bouncerHosts: [], requestId: '' };
    await cluster.api.createSubnet(request).response;
  }
  const all = await parties(cluster, vpc, subnets, users);
  const moving: Mover[] = [];
  for (let i = 0; i < movers; i += 1) {
    const places = [await place(cluster, users[i] ?? ''), await place(cluster, users[i + 1] ?? '')] as const;
    const { host, attachment } = places[0];
    const subnet = subnets[i % subnets.length] ?? '';
    moving.push({
      endpoint: await createEndpoint(cluster, vpc, subnet, `mover-${i}`, host, { attachment }),
      places,
      at: 0,
    });
  }

  const started_ms = clock_ms();
  const stamp = (ms = clock_ms()) => `${((ms - started_ms) / 1000).toFixed(3).padStart(8)} s`;
  const tell = (line: string) => say(`${stamp()}  ${line}`);
  const faults: string[] = [];
  const blame = (line: string) => {
    faults.push(`${stamp()}  ${line}`);
    tell(`WRONG: ${line}`);
  };
  const losses: Loss[] = [];

  const traffic = await load(cluster, all, { seed });
  const account = flows(cluster, seed);
  for (const { endpoint, places } of moving) {
    for (const [instance, { where }] of places.entries()) {
      await account.talker(endpoint, { where, instance });
    }
  }
  for (const peer of all.talkers) {
    const talker = await account.talker(peer);
    for (const { endpoint } of moving) {
      talker.to(endpoint, { rate: 250 });
    }
  }
  tell(`traffic runs between ${all.talkers.length + all.rare.length + movers} endpoints`);

  /** Tries until it is done, at one controller after the other. */
  const insist = async (what: string, work: (client: Client) => Promise<unknown>) => {
    const from_ms = clock_ms();
    let attempt = 0;
    const once = async () => {
      attempt += 1;
      await work(clients[attempt % clients.length] as Client);
      return true;
    };
    await until(what, once, (is) => is, { timeout_ms: 90_000, interval_ms: 200 });
    tell(`  done: ${what} (${Math.round(clock_ms() - from_ms)} ms, attempt ${attempt})`);
  };

  const change = async (wanted: Change, number: number): Promise<void> => {
    const what = describeChange(wanted);
    switch (wanted.kind) {
      case 'move': {
        const mover = moving[wanted.mover] as Mover;
        const to = 1 - mover.at;
        const { host, attachment } = mover.places[to] as Place;
        const { subnet, name } = mover.endpoint;
        await insist(what, ({ provisioning }) =>
          provisioning
            .moveEndpoint({ vpc, subnet, name, host, attachment, force: false, timeoutMs: 5000 })
            .response.then(() => undefined),
        );
        mover.at = to;
        return;
      }
      case 'bouncers': {
        const { subnet, count } = wanted;
        await insist(
          what,
          ({ provisioning }) =>
            provisioning.updateSubnet({ vpc, name: subnet, bouncers: count, bouncerHosts: [] }).response,
        );
        return;
      }
      case 'dividers':
        await insist(
          what,
          ({ provisioning }) => provisioning.updateVpc({ name: vpc, dividers: wanted.count }).response,
        );
        return;
      case 'drain': {
        const { host } = wanted;
        await insist(`${host} is drained`, ({ shard }) => jobDone(shard.drain({ host }).responses));
        await insist(`${host} is undrained`, ({ shard }) => jobDone(shard.undrain({ host }).responses));
        return;
      }
      default: {
        const { subnet, host } = wanted;
        const name = `churn-${number}`;
        let made: Endpoint | undefined;
        await insist(`${what}: made`, async ({ provisioning }) => {
          const request = { vpc, subnet, name, host, ip: '', mac: '', requestId: name, timeoutMs: 5000 };
          made = await provisioning.createEndpoint(request).response;
        });
        const asker = all.talkers[number % all.talkers.length] as Endpoint;
        const { received } = await ping(cluster, { endpoint: asker }, made?.ip ?? '', { count: 50, interval_ms: 20 });
        if (received === 0) {
          blame(`${vpc}/${subnet}/${name} was made on ${host} and is not reached from ${asker.name}`);
        }
        await insist(`${what}: gone`, async ({ provisioning }) => {
          try {
            await provisioning.deleteEndpoint({ vpc, subnet, name, timeoutMs: 5000 }).response;
          } catch (error) {
            if ((error as { readonly code?: string }).code !== 'NOT_FOUND') {
              throw error;
            }
          }
        });
      }
    }
  };

  /** Lets something fail; what it gives ends the failure. */
  const fail = async (fault: Fault): Promise<() => Promise<void>> => {
    switch (fault.kind) {
      case 'cut':
      case 'die': {
        const { kind, host } = fault;
        const from_ms = clock_ms();
        tell(`  ${kind === 'cut' ? 'cut off' : 'dead'}: ${host}`);
        await (kind === 'cut' ? cut(cluster, host) : die(cluster, host));
        return async () => {
          await mend(cluster, host);
          if (kind === 'die') {
            await cluster.signal('restart', host);
          }
          losses.push({ from_ms, until_ms: clock_ms() });
          tell(`  back: ${host}`);
        };
      }
      case 'restart':
        tell(`  kill -9 and start: ${fault.name}`);
        await cluster.signal('restart', fault.name);
        return async () => {};
      default: {
        const name = fault.kind === 'kill-leader' ? await leader(cluster) : fault.name;
        if (name === undefined) {
          tell('  nobody leads, so nobody is killed');
          return async () => {};
        }
        tell(
          `  ${fault.kind === 'stop' ? 'SIGSTOP' : 'kill -9'}: ${name}${fault.kind === 'kill-leader' ? ' (leads)' : ''}`,
        );
        await cluster.signal(fault.kind === 'stop' ? 'stop' : 'kill', name);
        return async () => {
          await cluster.signal('restart', name);
          tell(`  started again: ${name}`);
        };
      }
    }
  };

  const atRest = async () => {
    for (const host of hosts) {
      await attached(cluster, host);
    }
    for (const subnet of ['', ...subnets]) {
      await until(
        `the slots of ${vpc}/${subnet || 'dividers'} come to rest`,
        async () => {
          const shards = await shardsOf(cluster, vpc, subnet);
          const moves = shards.reduce((sum, { loadingSlots, leavingSlots }) => sum + loadingSlots + leavingSlots, 0);
          const primaries = shards.reduce((sum, { primarySlots }) => sum + primarySlots, 0);
          return `${moves} on their way, ${primaries} served`;
        },
        (seen) => seen === '0 on their way, 256 served',
        { timeout_ms: 90_000 },
      );
    }
  };

  const dropped = new Map<string, number>();
  /** What hosts dropped since it was last told, and why. */
  const tellDrops = async () => {
    const told: string[] = [];
    for (const host of hosts) {
      const seen = await dropsOf(cluster, host).catch(() => ({}));
      for (const [name, value] of Object.entries(seen)) {
        const key = `${host} ${name.split('/')[1]}`;
        const before = dropped.get(key) ?? 0;
        if (value > before) {
          told.push(`${key} ${value - before}`);
        }
        dropped.set(key, value);
      }
    }
    if (told.length > 0) {
      tell(`  dropped: ${told.join(', ')}`);
    }
  };

  const play = async ({ changes, fault, delay_ms, hold_ms }: Round, number: number) => {
    tell(`round ${number}: ${changes.map(describeChange).join('; ')}`);
    const complain = (error: unknown) => blame(error instanceof Error ? error.message : String(error));
    // Two changes of one thing follow each other; others go at once.
    const lanes = new Map<string, Promise<void>>();
    for (const wanted of changes) {
      const lane = wanted.kind === 'move' ? `move-${wanted.mover}` : wanted.kind === 'churn' ? 'churn' : 'slots';
      const before = lanes.get(lane) ?? Promise.resolve();
      lanes.set(lane, before.then(() => change(wanted, number)).catch(complain));
    }
    await sleep(delay_ms);
    const heal = await fail(fault);
    await sleep(hold_ms);
    await heal();
    await Promise.all(lanes.values());
    await atRest().catch(complain);
    await tellDrops();
  };

  let count = 0;
  let broken: unknown;
  try {
    for (const round of rounds(seed)) {
      const isOver = clock_ms() - started_ms >= duration_ms || count >= (options.rounds ?? Number.POSITIVE_INFINITY);
      if (isOver || signal?.aborted || faults.length > 0) {
        break;
      }
      count += 1;
      await play(round, count);
    }
  } catch (error) {
    broken = error;
  }
  if (broken !== undefined) {
    throw broken;
  }
  // Ctrl-C reaches the traffic too: there is nothing to account for.
  signal?.throwIfAborted();
  tell('the last round is over');
  const moved = await account.finish();
  const outcome = await traffic.finish();
  const excused = judge({ moved, outcome, all, losses, blame, stamp });
  await inspect(cluster, all.talkers[0] as Endpoint, blame);
  return { rounds: count, traffic: outcome, moved, excused, faults };
}

async function jobDone(responses: AsyncIterable<ShardProgress>): Promise<void> {
  let last: ShardProgress | undefined;
  for await (const progress of responses) {
    last = progress;
  }
  if (last?.job?.state !== JobState.DONE) {
    throw new Error(`job ${last?.job?.id} ended ${JobState[last?.job?.state ?? 0]}: ${last?.job?.message}`);
  }
}

/** Name of the controller that leads, as etcd says it. */
async function leader(cluster: TestCluster): Promise<string | undefined> {
  const keys = await dump(cluster).catch(() => new Map<string, string>());
  const [, value] = [...keys].find(([key]) => /\/leader(\/|$)/.test(key)) ?? [];
  if (value === undefined) {
    return undefined;
  }
  const { incarnation } = LeaderRecord.fromBinary(Buffer.from(value, 'base64'));
  const status = await cluster.api.getStatus({}).response.catch(() => undefined);
  const address = status?.controllers.find((controller) => controller.incarnation === incarnation)?.address;
  const { processes } = layout(cluster.dir);
  const files = readdirSync(processes).filter((file) => file.startsWith('controller-'));
  const file = files.find(
    (name) => address !== undefined && readFileSync(join(processes, name), 'utf8').includes(address),
  );
  return file?.replace(/\.json$/, '');
}

interface Evidence {
  readonly moved: Account;
  readonly outcome: Outcome;
  readonly all: Parties;
  readonly losses: readonly Loss[];
  readonly blame: (line: string) => void;
  readonly stamp: (ms: number) => string;
}

/** @returns how many losses are excused */
function judge({ moved, outcome: { account, pings, streams }, all, losses, blame, stamp }: Evidence): number {
  const wrong = new Set(unexcused(account.gaps, all, losses));
  const excused = account.gaps.filter((gap) => !wrong.has(gap)).reduce((sum, { count }) => sum + count, 0);
  for (const [what, seen] of [
    ['traffic', account],
    ['traffic to movers', moved],
  ] as const) {
    for (const gap of seen.gaps.filter((each) => seen === moved || wrong.has(each))) {
      const { from, to, count, begin_ms, end_ms, echo } = gap;
      blame(
        `${what}: ${count} ${echo ? 'echoes' : 'datagrams'} lost from ${from} to ${to}, sent ${stamp(begin_ms).trim()} to ${stamp(end_ms).trim()}`,
      );
    }
    for (const word of ['duplicated', 'misdelivered', 'strange', 'unsent'] as const) {
      if (seen[word] > 0) {
        blame(`${what}: ${seen[word]} ${word}`);
      }
    }
    if (seen.gaps_left_off > 0) {
      blame(`${what}: ${seen.gaps_left_off} gaps more`);
    }
  }
  for (const { sent, received, duplicates, bad } of pings) {
    if (received !== sent || duplicates > 0 || bad > 0) {
      blame(`ping: ${sent} sent, ${received} answered, ${duplicates} twice, ${bad} wrong`);
    }
  }
  for (const { sent, received, bad, broken } of streams) {
    if (received !== sent || bad > 0 || broken) {
      blame(`TCP: ${sent} bytes sent, ${received} received, ${bad} wrong${broken ? ', broken off' : ''}`);
    }
  }
  return excused;
}

/** When all is quiet again, intent, bouncers and hosts say the same. */
async function inspect(cluster: TestCluster, asker: Endpoint, blame: (line: string) => void): Promise<void> {
  const list = { vpc, subnet: '', host: '', pageSize: 0, pageToken: '' };
  const { endpoints } = await cluster.api.listEndpoints(list).response;
  if (new Set(endpoints.map(({ ip }) => ip)).size !== endpoints.length) {
    blame('an address was given twice');
  }
  for (const { name, ip, host, hostAddress, movingTo, movedFrom } of endpoints) {
    if (movingTo !== '' || movedFrom !== '') {
      blame(`${name} is still moving to ${movingTo || host}`);
    }
    const { answers, owners } = await cluster.client.lookup.resolve({ vpc, ip, viaBouncer: true }).response;
    for (const answer of answers) {
      if (!answer.found || answer.endpointHostAddress !== hostAddress) {
        blame(`bouncer ${answer.host} says of ${name}: ${answer.error || answer.endpointHostAddress || 'unknown'}`);
      }
    }
    if (answers.length !== owners.length) {
      blame(`${owners.length} own the slot of ${name}, ${answers.length} answer`);
    }
    if (ip !== asker.ip && (await ping(cluster, { endpoint: asker }, ip, { count: 2 })).received !== 2) {
      blame(`${name} is not reached from ${asker.name}`);
    }
  }
  for (const host of [...users, ...spares]) {
    const local = (await rows(cluster, host, 'endpoints')).length;
    const wanted = endpoints.filter((endpoint) => endpoint.host === host).length;
    if (local !== wanted) {
      blame(`${host} has ${local} endpoints in its kernel, and should have ${wanted}`);
    }
  }
}
