import { addressHex, type Change, Endpoint, parseAddress, Service, type SlotTable, Subnet, Vpc } from '@megrez/model';
import { place, slotOf } from '@megrez/ring';
import { type Key, keys, type WatchEvent } from '@megrez/store';
import { beforeEach, describe, expect, it } from 'vitest';
import { emptyMirror, type Mirror } from '../mirror';
import { type Knowledge, knowledge } from './knowledge';
import { type Listener, routeBatch } from './route';

const vni = 7;
const put = <T extends object>(key: Key<T>, value: T, revision: number): WatchEvent => ({
  path: key.path,
  revision,
  value: key.type.toBinary(value),
});
const remove = (key: Key<never>, revision: number): WatchEvent => ({ path: key.path, revision, value: undefined });
const ip = '10.0.0.9';
const hex = addressHex(parseAddress(ip));
const slot = slotOf(vni, parseAddress(ip));

const tableOf = (subnet: number, ...owners: string[]): SlotTable =>
  place({
    vni,
    subnet,
    hosts: owners.map((name, n) => ({ name, address: `192.168.0.${n + 1}`, weight: 0, zone: '', eligible: true })),
    bouncers: owners.length,
    pinned: owners,
  });
const table = (...owners: string[]): SlotTable => tableOf(1, ...owners);
const endpoint = (host: string): Endpoint =>
  Endpoint.create({ vpc: 'acme', subnet: 'web', name: 'a', host, ip, vni, subnetNumber: 1, slot });
const created = (host: string, revision: number): WatchEvent[] => [
  put(keys.endpoint(vni, 1, slot, hex), endpoint(host), revision),
  put(keys.byHost(host, vni, 1, hex), endpoint(host), revision),
];
const base = (revision: number, ...owners: string[]): WatchEvent[] => [
  put(keys.vpc('acme'), Vpc.create({ name: 'acme', vni }), revision),
  put(keys.subnet(vni, 1), Subnet.create({ vpc: 'acme', name: 'web', vni, number: 1 }), revision),
  put(keys.slots(vni, 1), table(...owners), revision),
];

describe('routing', () => {
  let mirror: Mirror;
  let hosts: Map<string, Knowledge>;
  let revision: number;
  beforeEach(() => {
    mirror = emptyMirror();
    hosts = new Map(['h1', 'h2', 'h3', 'h4'].map((name) => [name, knowledge(name)]));
    revision = 0;
  });

  const brief = ({ deleted, generation, object }: Change): string =>
    `${deleted ? '-' : '+'}${object.oneofKind} ${generation}`;
  /** What each host is sent for a batch; loads are told by their slots' number. */
  const send = (events: WatchEvent[], snapshot = false): Record<string, string[]> => {
    revision = Math.max(revision, ...events.map((event) => event.revision));
    const listeners = new Map<string, Listener>([...hosts].map(([name, know]) => [name, { ...know, loading: false }]));
    const out: Record<string, string[]> = {};
    for (const [host, groups] of routeBatch(mirror, { revision, snapshot, events }, listeners)) {
      const steps = groups.flatMap((group) => hosts.get(host)?.steps(group.events, group.revision, 0) ?? []);
      const told = steps.map((step) => {
        if (step.kind === 'change') return brief(step.change);
        return step.load.kind === 'slots'
          ? `${step.load.lost ? 'unload' : 'load'} ${step.load.slots.size}${step.load.services ? ' and services' : ''}`
          : 'snapshot';
      });
      if (told.length > 0) out[host] = told;
    }
    return out;
  };
  const context = (r: number): string[] => [`+vpc ${r}`, `+table ${r}`, `+subnet ${r}`];
  const farewell = (r: number): string[] => [`-subnet ${r}`, `-table ${r}`, `-vpc ${r}`];

  it('tells a new table to its holders, with its subnet and VPC first', () => {
    expect(send(base(1, 'h2', 'h3'))).toEqual({ h2: context(1), h3: context(1) });
  });

  it('tells an endpoint to its host and to the holders of its slot', () => {
    send(base(1, 'h2', 'h3'));
    expect(send(created('h1', 2))).toEqual({
      h1: [...context(1), '+endpoint 2'],
      h2: ['+endpoint 2'],
      h3: ['+endpoint 2'],
    });
  });

  it('tells a holder that is the host once', () => {
    send(base(1, 'h1'));
    expect(send(created('h1', 2))).toEqual({ h1: ['+endpoint 2'] });
  });

  it('takes everything from a host whose last endpoint in the subnet goes, by keys alone', () => {
    send(base(1, 'h2'));
    send(created('h1', 2));
    const events = [
      remove(keys.byHost('h1', vni, 1, hex) as never, 3),
      remove(keys.endpoint(vni, 1, slot, hex) as never, 3),
    ];
    expect(send(events)).toEqual({ h1: ['-endpoint 3', ...farewell(3)], h2: ['-endpoint 3'] });
  });

  it('moves an endpoint in one txn: the old host forgets, the new one learns, the holder is told once', () => {
    send(base(1, 'h2'));
    send(created('h1', 2));
    const events = [remove(keys.byHost('h1', vni, 1, hex) as never, 3), ...created('h3', 3)];
    expect(send(events)).toEqual({
      h1: ['-endpoint 3', ...farewell(3)],
      h2: ['+endpoint 3'],
      h3: [...context(1), '+endpoint 3'],
    });
  });

  it('tells a changed table to its users, loads gained slots and unloads lost ones', () => {
    send(base(1, 'h2', 'h3'));
    send(created('h1', 2));
    expect(send([put(keys.slots(vni, 1), table('h3', 'h4'), 3)])).toEqual({
      h1: ['+table 3'],
      h2: ['unload 256', ...farewell(3)],
      h3: ['+table 3'],
      h4: ['+vpc 1', '+table 3', '+subnet 1', 'load 256 and services'],
    });
  });

  it('takes a removed subnet from all who know it, after its endpoints', () => {
    send(base(1, 'h2'));
    send(created('h1', 2));
    const events = [
      remove(keys.subnet(vni, 1) as never, 3),
      remove(keys.slots(vni, 1) as never, 3),
      remove(keys.endpoint(vni, 1, slot, hex) as never, 3),
      remove(keys.byHost('h1', vni, 1, hex) as never, 3),
    ];
    expect(send(events)).toEqual({ h1: ['-endpoint 3', ...farewell(3)], h2: farewell(3) });
  });

  it('keeps revisions of one batch apart: made and gone is told as both, in order', () => {
    send(base(1, 'h2'));
    const gone = [
      remove(keys.endpoint(vni, 1, slot, hex) as never, 3),
      remove(keys.byHost('h1', vni, 1, hex) as never, 3),
    ];
    expect(send([...created('h1', 2), ...gone])).toEqual({
      h1: [...context(1), '+endpoint 2', '-endpoint 3', ...farewell(3)],
      h2: ['+endpoint 2', '-endpoint 3'],
    });
  });

  it("tells changes of a subnet that come in the batch of a host's first endpoint there", () => {
    send(base(1, 'h2'));
    const changed = [
      put(keys.vpc('acme'), Vpc.create({ name: 'acme', vni }), 3),
      put(keys.subnet(vni, 1), Subnet.create({ vpc: 'acme', name: 'web', vni, number: 1 }), 4),
      put(keys.slots(vni, 1), table('h3'), 5),
    ];
    expect(send([...created('h1', 2), ...changed])).toEqual({
      h1: [...context(1), '+endpoint 2', '+vpc 3', '+subnet 4', '+table 5'],
      h2: ['+endpoint 2', '+vpc 3', '+subnet 4', 'unload 256', '-subnet 5', '-table 5', '-vpc 5'],
      h3: ['+vpc 3', '+table 5', '+subnet 4', 'load 256 and services'],
    });
  });

  it('takes what differs after a compaction in any order', () => {
    const events = [...created('h1', 5), ...base(4, 'h2')].sort((a, b) => (a.path < b.path ? -1 : 1));
    expect(send(events, true)).toEqual({
      h1: [...context(4), '+endpoint 5'],
      h2: expect.arrayContaining([...context(4), '+endpoint 5']),
    });
  });

  const shop = keys.service(vni, 1, 'shop');
  const service = (r: number): WatchEvent =>
    put(shop, Service.create({ vpc: 'acme', subnet: 'web', name: 'shop', vni, subnetNumber: 1 }), r);

  it('tells services to the holders of slots of their subnet, nobody else', () => {
    send([...base(1, 'h2', 'h3'), ...created('h1', 2)]);
    expect(send([service(3)])).toEqual({ h2: ['+service 3'], h3: ['+service 3'] });
    // Who comes to hold some is given all of them, and later changes behind that; who holds none forgets them by itself.
    expect(send([put(keys.slots(vni, 1), table('h3', 'h4'), 4), service(5)])).toEqual({
      h1: ['+table 4'],
      h2: ['unload 256', ...farewell(4)],
      h3: ['+table 4', '+service 5'],
      h4: ['+vpc 1', '+table 4', '+subnet 1', 'load 256 and services', '+service 5'],
    });
    expect(send([remove(shop as Key<never>, 6)])).toEqual({ h3: ['-service 6'], h4: ['-service 6'] });
  });

  it('tells the services of a table that came with them after a compaction', () => {
    const events = [...base(4, 'h2'), service(5)].sort((a, b) => (a.path < b.path ? -1 : 1));
    expect(send(events, true)).toEqual({ h2: [...context(4), '+service 5'] });
  });

  const dividers = (r: number, ...owners: string[]): WatchEvent => put(keys.slots(vni, 0), tableOf(0, ...owners), r);
  const another = (r: number, number: number, ...owners: string[]): WatchEvent[] => [
    put(keys.subnet(vni, number), Subnet.create({ vpc: 'acme', name: `s${number}`, vni, number }), r),
    put(keys.slots(vni, number), tableOf(number, ...owners), r),
  ];

  it('tells a divider every subnet of its VPC, and their ends', () => {
    send([...base(1, 'h2'), dividers(1, 'h3')]);
    expect(send(another(2, 2, 'h2'))).toEqual({ h2: ['+table 2', '+subnet 2'], h3: ['+table 2', '+subnet 2'] });
    expect(send(created('h1', 3))).toEqual({
      h1: ['+vpc 1', '+table 1', '+table 1', '+subnet 1', '+endpoint 3'],
      h2: ['+endpoint 3'],
    });
    const removed = [keys.subnet(vni, 2), keys.slots(vni, 2)].map((key) => remove(key as never, 4));
    expect(send(removed)).toEqual({ h2: ['-subnet 4', '-table 4'], h3: ['-subnet 4', '-table 4'] });
  });

  it('gives a new divider all there is, its own table last, and takes it from the old one', () => {
    send([...base(1, 'h2'), ...another(1, 2, 'h2'), dividers(1, 'h3')]);
    send(created('h1', 2));
    expect(send([dividers(3, 'h4')])).toEqual({
      h1: ['+table 3'],
      h3: ['-subnet 3', '-table 3', '-subnet 3', '-table 3', '-table 3', '-vpc 3'],
      h4: ['+vpc 1', '+table 1', '+subnet 1', '+table 1', '+subnet 1', '+table 3'],
    });
  });

  it('leaves the table with an owner that holds no slot any more, to pass queries on', () => {
    send([...base(1, 'h2'), dividers(1, 'h3')]);
    const stub = (of: number, from: string): SlotTable => {
      const now = tableOf(of, 'h4');
      return { ...now, owners: [...now.owners, { host: from, address: '192.168.0.9' }] };
    };
    expect(send([put(keys.slots(vni, 1), stub(1, 'h2'), 2)])).toEqual({
      h2: ['+table 2', 'unload 256'],
      h3: ['+table 2'],
      h4: ['+vpc 1', '+table 2', '+subnet 1', 'load 256 and services'],
    });
    expect(send([put(keys.slots(vni, 0), stub(0, 'h3'), 3)])).toEqual({
      h3: ['+table 3', '-subnet 3', '-table 3'],
      h4: ['+table 3'],
    });
    expect(send([put(keys.slots(vni, 1), tableOf(1, 'h4'), 4), dividers(5, 'h4')])).toEqual({
      h2: ['-subnet 4', '-table 4', '-vpc 4'],
      h3: ['-table 5', '-vpc 5'],
      h4: ['+table 4', '+table 5'],
    });
  });

  it('tells both hosts of a moving endpoint, each its own copy, and the old one where it went', () => {
    send([...base(1, 'h2'), dividers(1, 'h2')]);
    send(created('h1', 2));
    const moving = { ...endpoint('h1'), movingTo: 'h3' };
    const events = [
      put(keys.endpoint(vni, 1, slot, hex), moving, 3),
      put(keys.byHost('h1', vni, 1, hex), moving, 3),
      put(keys.byHost('h3', vni, 1, hex), { ...moving, attachment: { kind: { oneofKind: 'none', none: {} } } }, 3),
    ];
    const routed = (batch: WatchEvent[]): Record<string, Endpoint> => {
      const listeners = new Map<string, Listener>(
        [...hosts].map(([name, know]) => [name, { ...know, loading: false }]),
      );
      const out: Record<string, Endpoint> = {};
      for (const [host, groups] of routeBatch(mirror, { revision: 3, snapshot: false, events: batch }, listeners)) {
        for (const { events: told } of groups) {
          for (const event of told)
            if (event.change.object.oneofKind === 'endpoint') out[host] = event.change.object.endpoint;
        }
      }
      return out;
    };
    const copies = routed(events);
    expect(copies.h1).toMatchObject({ host: 'h1', movingTo: 'h3' });
    expect(copies.h1?.attachment).toBeUndefined();
    expect(copies.h2?.attachment).toBeUndefined();
    expect(copies.h3).toMatchObject({ host: 'h1', movingTo: 'h3', attachment: { kind: { oneofKind: 'none' } } });
    const moved = { ...endpoint('h3'), hostAddress: '192.168.0.3' };
    const last = [
      put(keys.endpoint(vni, 1, slot, hex), moved, 3),
      put(keys.byHost('h3', vni, 1, hex), moved, 3),
      remove(keys.byHost('h1', vni, 1, hex) as never, 3),
    ];
    expect(routed(last).h1).toMatchObject({ host: 'h3', hostAddress: '192.168.0.3', ip });
  });
});
