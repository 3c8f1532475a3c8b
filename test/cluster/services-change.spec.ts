// Services while everything around them changes: bouncers move and die, agents and controllers end, a backend's host dies.
import type { Endpoint, Service } from '@megrez/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, shortLeaseArguments, type TestCluster, up } from './harness/cluster';
import {
  type Answers,
  type Asking,
  type AskOptions,
  ask,
  clean,
  connections,
  createService,
  nameOf,
  serve,
} from './harness/services';

let cluster: TestCluster;

const vpcs = ['acme', 'beta'] as const;

interface Tenant {
  /** On h1; h4 and h5 are the bouncers. */
  readonly client: Endpoint;
  /** On h2 and h3. */
  readonly backends: readonly [Endpoint, Endpoint];
  readonly shop: Service;
}

const tenants: Tenant[] = [];

beforeAll(async () => {
  // One host alone talks with the backends: nobody else finds theirs silent.
  const patience = ['--dead-ms', '2000', '--unheard-ms', '5000'];
  cluster = await up({ hosts: 5, controllerArguments: [...shortLeaseArguments, ...patience] });
  for (const vpc of vpcs) {
    await createVpc(cluster, vpc);
    await createSubnet(cluster, vpc, 'web', '10.0.1.0/24', ['h4', 'h5']);
    const [client, b2, b3] = await Promise.all(
      ['h1', 'h2', 'h3'].map((host, i) =>
        createEndpoint(cluster, vpc, 'web', `on-${host}`, host, { ip: `10.0.1.${i + 11}` }),
      ),
    );
    const backends = [b2, b3] as unknown as Tenant['backends'];
    for (const endpoint of backends) {
      await serve(cluster, endpoint, 'tcp', 8080);
    }
    const shop = await createService(cluster, `${vpc}/web/shop`, ['80:8080/tcp'], backends, { ip: '10.0.1.100' });
    tenants.push({ client: client as Endpoint, backends, shop });
  }
});

afterAll(() => cluster?.down());

const askShop = ({ client, shop }: Tenant, options: AskOptions = {}): Promise<Answers> =>
  ask(cluster, client, 'tcp', shop, 80, { count: 20, ...options });

/** Old connections of every tenant. */
async function old(): Promise<() => Promise<readonly Asking[]>> {
  const opened = await Promise.all(
    tenants.map(({ client, shop }) => connections(cluster, client, 'tcp', shop, 80, { count: 20 })),
  );
  return async () => {
    for (const { asking, first } of opened) {
      expect(await asking.again()).toMatchObject({ ...clean, by: first.by });
    }
    return opened.map(({ asking }) => asking);
  };
}

/** Old and new connections while something happens: all of them are answered, by who is a backend of the own VPC. */
async function unharmed(what: () => Promise<void>, answered: Partial<Answers> = clean): Promise<void> {
  const checkOld = await old();
  const seen: [Tenant, Answers][] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      for (const tenant of tenants) {
        seen.push([tenant, await askShop(tenant)]);
      }
      await checkOld();
    }
  })();
  try {
    await what();
  } finally {
    isOver = true;
    await asking;
  }
  for (const open of await checkOld()) {
    await open.end();
  }
  for (const [{ backends }, answers] of seen) {
    expect(answers).toMatchObject(answered);
    expect(Object.values(answers.by).reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(backends.map(nameOf)).toEqual(expect.arrayContaining(Object.keys(answers.by)));
  }
  expect(seen.length).toBeGreaterThan(2);
}

/** Resolves when the slots of both VPCs are where these hosts are. */
async function moveTo(...bouncerHosts: string[]): Promise<void> {
  for (const vpc of vpcs) {
    await cluster.api.updateSubnet({ vpc, name: 'web', bouncers: 2, bouncerHosts }).response;
  }
  for await (const _ of cluster.client.shard.watchProgress({ vpc: '', subnet: '', job: 0 }).responses);
  await expect.poll(holders, { timeout: 20_000 }).toEqual(bouncerHosts);
}

const holders = async (): Promise<readonly string[]> => {
  const request = { vpc: 'acme', subnet: 'web', host: '', withoutEntries: true };
  const { shards } = await cluster.client.shard.listShards(request).response;
  return shards
    .filter(({ subnet, slots }) => subnet === 'web' && slots.length > 0)
    .map(({ host }) => host)
    .sort();
};

test('slots move to other hosts and back', async () => {
  await unharmed(async () => {
    for (const hosts of [
      ['h2', 'h4'],
      ['h1', 'h3'],
      ['h4', 'h5'],
    ]) {
      await moveTo(...hosts);
      expect(await holders()).toEqual(hosts);
    }
  });
});

test('agents and controller are killed, and come back', async () => {
  const hosts = [...cluster.hosts.keys()];
  await unharmed(async () => {
    await cluster.signal('kill', 'controller-1');
    for (const host of hosts) {
      await cluster.signal('kill', host);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
    for (const name of ['controller-1', ...hosts]) {
      await cluster.signal('restart', name);
    }
    const attached = async () => {
      try {
        const { hosts: all } = await cluster.api.listHosts({ pageSize: 0, pageToken: '' }).response;
        return all.filter(({ status }) => status?.attached).length;
      } catch {
        return 0;
      }
    };
    await expect.poll(attached, { timeout: 30_000 }).toBe(hosts.length);
  });
});

/** A host dies: its agent ends, and nobody hears its datapath any more. */
async function die(host: string): Promise<void> {
  await cluster.must('underlay', ['ip', 'link', 'set', host, 'down']);
  await cluster.signal('kill', host);
}

async function revive(host: string): Promise<void> {
  await cluster.must('underlay', ['ip', 'link', 'set', host, 'up']);
  await cluster.signal('restart', host);
}

test('a bouncer’s host dies: flows do not notice, and new ones are answered', async () => {
  expect(await holders()).toEqual(['h4', 'h5']);
  // The first SYN to the dead one may be lost: the next asks its twin.
  const { retransmits: _, ...answered } = clean;
  await unharmed(async () => {
    await die('h4');
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await revive('h4');
  }, answered);
});

test('a backend’s host dies: new connections go elsewhere, until it is back', async () => {
  const met = (options?: AskOptions) => Promise.all(tenants.map((tenant) => askShop(tenant, options)));
  for (const { by } of await met()) {
    expect(Object.keys(by)).toHaveLength(2);
  }
  await die('h2');
  try {
    const names = tenants.map(({ backends: [, alive] }) => ({ [nameOf(alive)]: 20 }));
    const heard = async () => (await met({ patience_ms: 1000 })).map(({ by }) => by);
    await expect.poll(heard, { timeout: 30_000, interval: 500 }).toEqual(names);
  } finally {
    await revive('h2');
  }
  const both = async () => (await met()).map(({ by }) => Object.keys(by).length);
  await expect.poll(both, { timeout: 30_000, interval: 500 }).toEqual([2, 2]);
});
