import { maps } from '@megrez/abi';
import {
  type Change,
  Endpoint,
  formatAddress,
  Protocol,
  parseAddress,
  Service,
  ServiceBackend,
  type SlotState,
  SlotTable,
  Subnet,
  Vpc,
} from '@megrez/model';
import { maglev, slotOf } from '@megrez/ring';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addressesOf,
  contextOf,
  emptyKnown,
  endpointId,
  type InterfaceFacts,
  type Known,
  keysOf,
  mergeWork,
  note,
  plan,
  presenceOf,
  type Row,
  rowId,
  rowsOf,
  serviceId,
  type Work,
} from '.';

const host = 'h1';
const slotsPerTable = 256;

type Step =
  | { readonly kind: 'change'; readonly object: Change['object']; readonly deleted: boolean }
  | { readonly kind: 'interface'; readonly vni: number; readonly ip: string; readonly present: boolean };

// Few of everything, so that objects meet.
const vni = fc.oneof({ arbitrary: fc.constant(1), weight: 4 }, fc.constant(2));
const number = fc.oneof({ arbitrary: fc.constant(1), weight: 3 }, fc.constant(2));
const digit = fc.integer({ min: 2, max: 3 });
const hostName = fc.constantFrom('h1', 'h1', 'h2');
/** Mostly none, else where a move comes from or goes to. */
const moving = fc.oneof({ arbitrary: fc.constant(''), weight: 3 }, hostName);
const ipOf = (subnet: number, last: number): string => `10.0.${subnet}.${last}`;

const vpc = vni.map((of): Change['object'] => ({ oneofKind: 'vpc', vpc: Vpc.create({ vni: of, name: `v${of}` }) }));
const subnet = fc
  .tuple(vni, number, fc.constantFrom(24, 25), fc.boolean())
  .map(([of, n, length, dual]): Change['object'] => ({
    oneofKind: 'subnet',
    subnet: Subnet.create({
      vni: of,
      number: n,
      cidrs: [`10.0.${n}.0/${length}`, ...(dual ? [`fd00:${n}::/64`] : [])],
      gateways: [`10.0.${n}.1`, ...(dual ? [`fd00:${n}::1`] : [])],
    }),
  }));
/** Slots of a few owners, in every state, repeated over the table; subnet 0 is the VPC's dividers. */
const table = fc
  .tuple(
    vni,
    fc.oneof({ arbitrary: number, weight: 3 }, fc.constant(0)),
    fc.array(fc.tuple(fc.nat(2), fc.constantFrom(1, 2, 3)), { minLength: 1, maxLength: 3 }),
  )
  .map(([of, n, pattern]): Change['object'] => ({
    oneofKind: 'table',
    table: SlotTable.create({
      vni: of,
      subnet: n,
      owners: ['h1', 'h2', 'h3'].map((name, i) => ({ host: name, address: `192.168.0.${i + 1}` })),
      slots: Array.from({ length: slotsPerTable }, (_, slot) => {
        const [owner, state] = pattern[slot % pattern.length] as [number, SlotState];
        return { holders: [{ owner, state }] };
      }),
    }),
  }));
const endpoint = fc
  .tuple(vni, number, digit, hostName, fc.boolean(), moving, moving, fc.boolean())
  .map(([of, n, last, on, none, movingTo, movedFrom, dual]): Change['object'] => ({
    oneofKind: 'endpoint',
    endpoint: Endpoint.create({
      vni: of,
      subnetNumber: n,
      host: on,
      hostAddress: on === 'h1' ? '192.168.0.1' : '192.168.0.2',
      ip: ipOf(n, last),
      mac: `02:4d:0a:00:0${n}:0${last}`,
      slot: slotOf(of, parseAddress(ipOf(n, last))),
      movingTo,
      movedFrom,
      ip6: dual ? `fd00:${n}::${last}` : '',
      ...(none ? { attachment: { kind: { oneofKind: 'none', none: {} } } } : {}),
    }),
  }));
/** A few services of a subnet; each name has an address of its own, ports and backends come and go. */
const service = fc
  .tuple(
    vni,
    number,
    fc.integer({ min: 7, max: 8 }),
    fc.uniqueArray(fc.constantFrom(80, 443), { minLength: 1 }),
    fc.uniqueArray(fc.nat(2)),
    fc.boolean(),
  )
  .map(([of, n, last, ports, numbers, down]): Change['object'] => {
    const backends = numbers.map((one, i) =>
      ServiceBackend.create({ number: one, ip: ipOf(n, one + 2), down: down && i === 0 }),
    );
    const live = backends.filter((backend) => !backend.down);
    return {
      oneofKind: 'service',
      service: Service.create({
        vni: of,
        subnetNumber: n,
        name: `s${last}`,
        ip: ipOf(n, last),
        mac: `02:4d:0a:00:0${n}:0${last}`,
        ports: ports.map((listen) => ({ listen, target: listen + 1, protocol: Protocol.TCP })),
        backends,
        buckets: maglev(live.map(({ number: one, ip }) => ({ number: one, name: ip, weight: 100 }))),
      }),
    };
  });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('change' as const),
    object: fc.oneof(vpc, { arbitrary: subnet, weight: 2 }, table, service, { arbitrary: endpoint, weight: 3 }),
    deleted: fc.nat(3).map((n) => n === 0),
  }),
  fc.record({
    kind: fc.constant('interface' as const),
    vni,
    ip: fc.tuple(number, digit).map(([n, last]) => ipOf(n, last)),
    present: fc.nat(3).map((n) => n > 0),
  }),
);

/** Every object's own identity, and its generation set to the step it came in. */
const identity = (object: Change['object']): string => {
  switch (object.oneofKind) {
    case 'vpc':
      return `vpc ${object.vpc.vni}`;
    case 'subnet':
      return `subnet ${object.subnet.vni}/${object.subnet.number}`;
    case 'table':
      return `table ${object.table.vni}/${object.table.subnet}`;
    case 'endpoint':
      return `endpoint ${object.endpoint.vni}/${object.endpoint.ip}`;
    case 'service':
      return serviceId(object.service);
    default:
      throw new Error('no object');
  }
};
const withGeneration = (object: Change['object'], generation: number): Change['object'] => {
  const copy = structuredClone(object);
  if (copy.oneofKind === 'table') copy.table.generation = generation;
  if (copy.oneofKind === 'vpc') copy.vpc.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  if (copy.oneofKind === 'subnet') copy.subnet.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  if (copy.oneofKind === 'service') copy.service.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  if (copy.oneofKind === 'endpoint')
    copy.endpoint.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  return copy;
};
const factsOf = (of: number, ip: string): InterfaceFacts => {
  const bytes = parseAddress(ip);
  return { ifindex: of * 1_000 + (bytes[14] as number) * 100 + (bytes[15] as number), mtu: 1386, veth: true };
};

type EndpointObject = Extract<Change['object'], { oneofKind: 'endpoint' }>;

/** Which endpoints a host is told of: its own, and those of the slots it holds. */
const concerns = (known: Known, { endpoint }: EndpointObject): boolean => {
  if (presenceOf(endpoint, host) !== 'elsewhere') return true;
  const held = known.tables.get(`${endpoint.vni}/${endpoint.subnetNumber}`)?.held;
  return addressesOf(endpoint).some((ip) => held?.[slotOf(endpoint.vni, ip)] === 1);
};

type ServiceObject = Extract<Change['object'], { oneofKind: 'service' }>;

/** Only holders of slots are told of a subnet's services. */
const holds = (known: Known, { vni: of, subnetNumber }: Service): boolean =>
  known.tables.get(`${of}/${subnetNumber}`)?.held.includes(1) ?? false;

const holdsTable = (known: Known, { vni: of, subnet }: SlotTable): boolean =>
  holds(known, Service.create({ vni: of, subnetNumber: subnet }));

const serviceDeletion = ({ service: { vni: of, subnetNumber, name } }: ServiceObject): Change['object'] => ({
  oneofKind: 'service',
  service: Service.create({ vni: of, subnetNumber, name }),
});

/** What is said when it goes: each address by itself, the second one to those who hold its slot. */
const deletionsOf = (known: Known, { endpoint }: EndpointObject): readonly Change['object'][] =>
  addressesOf(endpoint).flatMap((ip, i) => {
    const { vni: of, subnetNumber } = endpoint;
    const slot = slotOf(of, ip);
    const own = presenceOf(endpoint, host) !== 'elsewhere';
    if (i > 0 && own && known.tables.get(`${of}/${subnetNumber}`)?.held[slot] !== 1) return [];
    const said = Endpoint.create({ vni: of, subnetNumber, slot, ip: formatAddress(ip) });
    return [{ oneofKind: 'endpoint' as const, endpoint: said }];
  });

/** Of the rows that more than one object may have. */
const generationOf = ({ map, value }: Row): number =>
  map === 'mappings' || map === 'endpoints' ? maps[map].value.decode(value).generation : 0;

test('changes in batches, in any order, end where planning the whole ends', () => {
  fc.assert(
    fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 30, size: 'max' }), (batches) => {
      const known = emptyKnown();
      const rows = new Map<string, Row>();
      /** What the controller holds, and of that what it has told. */
      const intent = new Map<string, Change['object']>();
      const told = new Map<string, Change['object']>();
      const ifindexes = new Map<string, number>();
      /** With the generation of what was told last. */
      const dirty = new Map<string, readonly [Work, number]>();
      let generation = 0;

      const mark = (work: Work, at: number): void => {
        dirty.set(work.id, [mergeWork(dirty.get(work.id)?.[0], work), at]);
      };
      const apply = (work: Work, at: number): void => {
        const ifindex = ifindexes.get(work.id);
        for (const key of keysOf(work, ifindex)) {
          const row = rows.get(rowId(key));
          // A deletion takes nothing away that is newer than it.
          if (row === undefined || (work.deleted && generationOf(row) > at)) continue;
          rows.delete(rowId(key));
        }
        for (const row of rowsOf(known, host, work)) rows.set(rowId(row), row);
      };
      const tell = (object: Change['object'], deleted: boolean, at: number): void => {
        if (deleted) told.delete(identity(object));
        else told.set(identity(object), object);
        for (const work of note(known, host, { object, deleted, generation: at })) mark(work, at);
      };
      const withdraw = (object: EndpointObject, at: number): void => {
        for (const deletion of deletionsOf(known, object)) tell(deletion, true, at);
      };
      const tellEndpoint = (object: EndpointObject, at: number): void => {
        if (concerns(known, object)) tell(object, false, at);
        else if (told.has(identity(object))) withdraw(object, at);
      };
      const change = (object: Change['object'], deleted: boolean): void => {
        const before = told.get(identity(object));
        // With other addresses it is another endpoint.
        const other =
          object.oneofKind === 'endpoint' &&
          before?.oneofKind === 'endpoint' &&
          before.endpoint.ip6 !== object.endpoint.ip6;
        if (other) withdraw(before, generation);
        if (deleted) intent.delete(identity(object));
        else intent.set(identity(object), object);
        if (object.oneofKind === 'service') {
          if (holds(known, object.service)) tell(deleted ? serviceDeletion(object) : object, deleted, generation);
          return;
        }
        if (object.oneofKind !== 'endpoint') {
          const held = object.oneofKind === 'table' && holdsTable(known, object.table);
          tell(object, deleted, generation);
          // Gained slots are loaded, lost ones taken back.
          if (object.oneofKind !== 'table') return;
          const { vni: of, subnet: n } = object.table;
          const holdsNow = holdsTable(known, object.table);
          for (const one of intent.values()) {
            if (one.oneofKind !== 'service' || one.service.vni !== of || one.service.subnetNumber !== n) continue;
            // A host that holds nothing more forgets them unasked.
            if (!holdsNow) told.delete(identity(one));
            else if (!held) tell(one, false, generation);
          }
          for (const one of intent.values()) {
            if (one.oneofKind !== 'endpoint' || one.endpoint.vni !== of || one.endpoint.subnetNumber !== n) continue;
            if (presenceOf(one.endpoint, host) === 'elsewhere') tellEndpoint(one, generation);
          }
        } else if (!deleted) tellEndpoint(object, generation);
        else if (before?.oneofKind === 'endpoint' && !other) withdraw(before, generation);
      };

      for (const batch of batches) {
        for (const one of batch) {
          generation += 1;
          if (one.kind === 'change') {
            change(withGeneration(one.object, generation), one.deleted);
            continue;
          }
          const id = endpointId(one.vni, parseAddress(one.ip));
          const facts = factsOf(one.vni, one.ip);
          ifindexes.set(id, facts.ifindex);
          if (one.present) known.interfaces.set(id, facts);
          else known.interfaces.delete(id);
          const own = known.endpoints.get(id);
          if (own === undefined) continue;
          const work: Work = { id, object: { oneofKind: 'endpoint', endpoint: own.endpoint }, deleted: false };
          mark(work, generation);
        }
        for (const [work, at] of dirty.values()) apply(work, at);
        dirty.clear();
      }

      const whole = new Map<string, Row>();
      const context = contextOf(known, host);
      for (const object of told.values()) for (const row of plan(object, context)) whole.set(rowId(row), row);
      expect([...rows.keys()].sort()).toEqual([...whole.keys()].sort());
      for (const [id, row] of rows) expect(row.value.equals(whole.get(id)?.value ?? Buffer.alloc(0))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('an older generation changes nothing', () => {
  const known = emptyKnown();
  const at = (generation: number, mac: string): Change => ({
    generation,
    deleted: false,
    object: withGeneration(
      {
        oneofKind: 'endpoint',
        endpoint: Endpoint.create({ vni: 1, subnetNumber: 1, host, hostAddress: '192.168.0.1', ip: '10.0.1.2', mac }),
      },
      generation,
    ),
  });
  expect(note(known, host, at(9, '02:00:00:00:00:01')).length).toBe(1);
  expect(note(known, host, at(8, '02:00:00:00:00:02'))).toEqual([]);
  expect(note(known, host, { ...at(8, ''), deleted: true })).toEqual([]);
  expect([...known.endpoints.values()].map(({ endpoint: { mac } }) => mac)).toEqual(['02:00:00:00:00:01']);
  expect(note(known, host, { ...at(10, ''), deleted: true }).length).toBe(1);
  expect(known.endpoints.size).toBe(0);
});
