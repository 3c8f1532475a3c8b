import { type Change, Endpoint, parseAddress, type SlotState, SlotTable, Subnet, Vpc } from '@megrez/model';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  contextOf,
  emptyKnown,
  endpointId,
  type InterfaceFacts,
  keysOf,
  note,
  plan,
  type Row,
  rowId,
  rowsOf,
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
const ipOf = (subnet: number, last: number): string => `10.0.${subnet}.${last}`;

const vpc = vni.map((of): Change['object'] => ({ oneofKind: 'vpc', vpc: Vpc.create({ vni: of, name: `v${of}` }) }));
const subnet = fc.tuple(vni, number, fc.constantFrom(24, 25)).map(([of, n, length]): Change['object'] => ({
  oneofKind: 'subnet',
  subnet: Subnet.create({ vni: of, number: n, cidrs: [`10.0.${n}.0/${length}`], gateways: [`10.0.${n}.1`] }),
}));
/** Slots of a few owners, in every state, repeated over the table. */
const table = fc
  .tuple(vni, number, fc.array(fc.tuple(fc.nat(2), fc.constantFrom(1, 2, 3)), { minLength: 1, maxLength: 3 }))
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
  .tuple(vni, number, digit, hostName, fc.boolean())
  .map(([of, n, last, on, none]): Change['object'] => ({
    oneofKind: 'endpoint',
    endpoint: Endpoint.create({
      vni: of,
      subnetNumber: n,
      host: on,
      hostAddress: on === 'h1' ? '192.168.0.1' : '192.168.0.2',
      ip: ipOf(n, last),
      mac: `02:4d:0a:00:0${n}:0${last}`,
      slot: last,
      ...(none ? { attachment: { kind: { oneofKind: 'none', none: {} } } } : {}),
    }),
  }));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('change' as const),
    object: fc.oneof(vpc, { arbitrary: subnet, weight: 2 }, table, { arbitrary: endpoint, weight: 3 }),
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
    default:
      throw new Error('no object');
  }
};
const withGeneration = (object: Change['object'], generation: number): Change['object'] => {
  const copy = structuredClone(object);
  if (copy.oneofKind === 'table') copy.table.generation = generation;
  if (copy.oneofKind === 'vpc') copy.vpc.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  if (copy.oneofKind === 'subnet') copy.subnet.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  if (copy.oneofKind === 'endpoint')
    copy.endpoint.meta = { generation, requestId: '', createdAtMs: 0, deleting: false };
  return copy;
};
const factsOf = (of: number, ip: string): InterfaceFacts => {
  const bytes = parseAddress(ip);
  return { ifindex: of * 1_000 + (bytes[14] as number) * 100 + (bytes[15] as number), mtu: 1386, veth: true };
};

test('changes one by one, in any order, end where planning the whole ends', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const known = emptyKnown();
      const rows = new Map<string, Row>();
      const wanted = new Map<string, Change['object']>();
      const ifindexes = new Map<string, number>();

      const apply = (work: Work): void => {
        const ifindex = ifindexes.get(work.id);
        for (const key of keysOf(work, ifindex)) rows.delete(rowId(key));
        for (const row of rowsOf(known, host, work)) rows.set(rowId(row), row);
      };
      steps.forEach((one, i) => {
        if (one.kind === 'interface') {
          const id = endpointId(one.vni, parseAddress(one.ip));
          const facts = factsOf(one.vni, one.ip);
          ifindexes.set(id, facts.ifindex);
          if (one.present) known.interfaces.set(id, facts);
          else known.interfaces.delete(id);
          const own = known.endpoints.get(id);
          if (own !== undefined)
            apply({ id, object: { oneofKind: 'endpoint', endpoint: own.endpoint }, deleted: false });
          return;
        }
        const object = withGeneration(one.object, i + 1);
        if (one.deleted) wanted.delete(identity(object));
        else wanted.set(identity(object), object);
        for (const work of note(known, host, { object, deleted: one.deleted, generation: i + 1 })) apply(work);
      });

      const whole = new Map<string, Row>();
      const context = contextOf(known, host);
      for (const object of wanted.values()) for (const row of plan(object, context)) whole.set(rowId(row), row);
      expect([...rows.keys()].sort()).toEqual([...whole.keys()].sort());
      for (const [id, row] of rows) expect(row.value.equals(whole.get(id)?.value ?? Buffer.alloc(0))).toBe(true);
    }),
    { numRuns: 200 },
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
