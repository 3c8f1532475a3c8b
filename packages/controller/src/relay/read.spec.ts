import {
  addressHex,
  type Change,
  Endpoint,
  parseAddress,
  type SessionResponse,
  SlotState,
  Subnet,
  Vpc,
} from '@megrez/model';
import { place, slotOf } from '@megrez/ring';
import { type Key, keys, openStore, type Store, type WatchBatch } from '@megrez/store';
import { type Etcd, startEtcd } from '@megrez/store/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emptyMirror } from '../mirror';
import { readLoad } from './read';
import { routeBatch } from './route';
import { Session } from './session';

const vni = 7;
const ip = '10.0.0.9';
const hex = addressHex(parseAddress(ip));
const slot = slotOf(vni, parseAddress(ip));
const bouncer = { name: 'h1', address: '192.168.0.1', weight: 0, zone: '', eligible: true };

describe('a snapshot that is read while the watch is behind', () => {
  let etcd: Etcd;
  let store: Store;
  beforeAll(async () => {
    etcd = await startEtcd();
    store = await openStore({ endpoints: [etcd.endpoint] });
  });
  afterAll(async () => {
    await store.close();
    await etcd.close();
  });

  const mirror = emptyMirror();
  const sessions = new Map<string, Session>();
  const told = new Map<string, string[]>();

  /** A session whose agent acknowledges everything. */
  const connect = (host: string, turn: Promise<void> = Promise.resolve()): Session => {
    const changes: string[] = [];
    told.set(host, changes);
    const send = ({ message }: SessionResponse): void => {
      if (message.oneofKind !== 'batch') return;
      const { sequence } = message.batch;
      changes.push(
        ...message.batch.changes.map(({ object, deleted }: Change) => `${deleted ? '-' : ''}${object.oneofKind}`),
      );
      queueMicrotask(() => session.receive({ message: { oneofKind: 'ack', ack: { sequence, failures: [] } } }));
    };
    const session = new Session({
      host,
      address: '',
      outlet: { send, end: (reason) => changes.push(reason) },
      read: async function* (load, of) {
        await turn;
        yield* readLoad(store, mirror, load, of);
      },
      counted: () => undefined,
      report: undefined,
    });
    sessions.set(host, session);
    session.start();
    return session;
  };
  const put = async (...entries: [Key<never>, object][]): Promise<number> =>
    (
      await store.txn(
        [],
        entries.map(([key, value]) => ({ kind: 'put', key: key as Key<object>, value })),
      )
    ).revision;

  it('brings the endpoints of a subnet that is younger than the mirror, behind the subnet', async () => {
    const late: WatchBatch[] = [];
    const deliver = (batch: WatchBatch): void => {
      for (const [host, groups] of routeBatch(mirror, batch, sessions)) sessions.get(host)?.deliver(groups);
      mirror.changed.raise();
    };
    const watch = await store.watch((batch) => (batch.snapshot ? deliver(batch) : late.push(batch)));
    await put(
      [keys.vpc('acme') as never, Vpc.create({ name: 'acme', vni })],
      [keys.subnet(vni, 1) as never, Subnet.create({ vpc: 'acme', name: 'web', vni, number: 1 })],
      [keys.slots(vni, 1) as never, place({ vni, subnet: 1, hosts: [bouncer], bouncers: 1, pinned: ['h1'] })],
    );
    const endpoint = Endpoint.create({ vpc: 'acme', subnet: 'web', host: 'h2', ip, vni, subnetNumber: 1, slot });
    const written = await put(
      [keys.endpoint(vni, 1, slot, hex) as never, endpoint],
      [keys.byHost('h2', vni, 1, hex) as never, endpoint],
    );
    for (const session of ['h1', 'h2'].map((host) => connect(host))) {
      await expect.poll(() => session.floor, { timeout: 10_000 }).toBeGreaterThanOrEqual(written);
    }
    await expect.poll(() => late.at(-1)?.revision, { timeout: 10_000 }).toBe(written);
    for (const batch of late) deliver(batch);
    for (const session of sessions.values()) await session.waitApplied(written);
    expect(told.get('h1')).toEqual(['vpc', 'table', 'subnet', 'endpoint']);
    expect(told.get('h2')?.slice(0, 4)).toEqual(['vpc', 'table', 'subnet', 'endpoint']);
    await watch.close();
  });

  it('is not undone by changes of a table that came before it was its turn', async () => {
    sessions.clear();
    const deliver = (batch: WatchBatch): void => {
      for (const [host, groups] of routeBatch(mirror, batch, sessions)) sessions.get(host)?.deliver(groups);
      mirror.changed.raise();
    };
    const watch = await store.watch(deliver);
    const subnet = Subnet.create({ vpc: 'acme', name: 'db', vni, number: 2 });
    const table = place({ vni, subnet: 2, hosts: [bouncer], bouncers: 1, pinned: ['h1'] });
    const endpoint = Endpoint.create({ vpc: 'acme', subnet: 'db', host: 'h2', ip, vni, subnetNumber: 2, slot });
    const key = keys.slots(vni, 2) as never;
    await put([keys.subnet(vni, 2) as never, subnet], [key, table]);
    await put([keys.endpoint(vni, 2, slot, hex) as never, endpoint]);
    await mirror.changed.next(1_000);
    const turn = Promise.withResolvers<void>();
    const session = connect('h1', turn.promise);
    // The slot went to another host, and came back.
    const owners = [...table.owners, { host: 'h2', address: '192.168.0.2' }];
    const away = { holders: [{ owner: 1, state: SlotState.SERVING }] };
    await put([key, { ...table, owners, slots: table.slots.map((one, n) => (n === slot ? away : one)), epoch: 2 }]);
    const last = await put([key, { ...table, owners, epoch: 3 }]);
    await expect.poll(() => mirror.revision).toBe(last);
    turn.resolve();
    await session.waitApplied(last);
    const endpoints = told.get('h1')?.filter((kind) => kind.includes('endpoint'));
    // That of the other subnet, too.
    expect(endpoints).toEqual(['endpoint', 'endpoint']);
    await watch.close();
  });
});
