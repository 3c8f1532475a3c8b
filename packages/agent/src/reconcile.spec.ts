import { type MapName, maps } from '@megrez/abi';
import { type Change, SlotState } from '@megrez/model';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { openReconciler } from './reconcile';
import { openRows } from './rows';
import { emptyMarks, forgetUnnamed } from './snapshot';
import { endpointChange, endpointDeletion, subnetChange, tableChange, vpcChange } from './testing/intent';
import { openTombstones } from './tombstones';

const log = pino({ level: 'silent' });
const self = { host: 'h1', address: '192.0.2.1' };
const other = { host: 'h2', address: '192.0.2.2' };
const none = { attachment: { kind: { oneofKind: 'none' as const, none: {} } } };

/** The order in which a batch reaches the kernel's maps, each as `put slots` or `delete slots`, runs as one. */
const recorded = async () => {
  const contents = new Map<MapName, Map<string, Buffer>>();
  let steps: string[] = [];
  const wrote = (step: string): void => {
    if (steps.at(-1) !== step) steps.push(step);
  };
  /** What the order depends on of a map: it holds what was written. */
  const open = (name: MapName) => {
    const entries = contents.get(name) ?? new Map<string, Buffer>();
    contents.set(name, entries);
    return {
      keySize: maps[name].key.size,
      valueSize: maps[name].value.size,
      lookup: (key: Uint8Array) => entries.get(Buffer.from(key).toString('hex')),
      update: (key: Uint8Array, value: Uint8Array) => {
        entries.set(Buffer.from(key).toString('hex'), Buffer.from(value));
        wrote(`put ${name}`);
      },
      delete: (key: Uint8Array) => {
        const was = entries.delete(Buffer.from(key).toString('hex'));
        if (was) wrote(`delete ${name}`);
        return was;
      },
      entries: async () => ({
        keys: Buffer.concat([...entries.keys()].map((key) => Buffer.from(key, 'hex'))),
        values: Buffer.concat([...entries.values()]),
        count: entries.size,
      }),
    };
  };
  const rows = openRows(open as unknown as Parameters<typeof openRows>[0]);
  const tombstones = await openTombstones(rows, log);
  const nothing = async (): Promise<void> => undefined;
  const reconciler = openReconciler(
    {
      host: self.host,
      self: self.address,
      rows,
      tombstones,
      found: [],
      interfaces: {
        ensure: async (_own, _subnet, _exists, beforeUp) => beforeUp({ ifindex: 5, mtu: 1386, veth: true }),
        keep: async () => false,
        remove: async () => wrote('remove interface'),
        list: async () => ({ whole: new Map(), halves: [] }),
      },
      nextHops: {
        want: () => undefined,
        settled: nothing,
        unresolved: () => [],
        lookAgain: () => undefined,
        close: () => undefined,
      },
    },
    log,
  );
  return {
    reconciler,
    holdings: () => contents.get('holdings')?.size ?? 0,
    apply: async (changes: readonly Change[]): Promise<readonly string[]> => {
      steps = [];
      reconciler.mark(changes);
      expect(await reconciler.apply()).toEqual([]);
      return steps;
    },
  };
};

const foreign = (generation: number) =>
  endpointChange({ ip: '10.0.1.9', host: 'h2', hostAddress: '192.0.2.2' }, generation);

test('nobody is found before it has what it needs, in whatever order the changes of a batch come', async () => {
  const changes = [
    endpointChange({ ip: '10.0.1.7', ...none }, 10),
    tableChange(self, 3),
    tableChange(self, 4, false, { subnet: 0 }),
    foreign(11),
    subnetChange(),
    vpcChange(),
  ];
  const order = [
    'put networks',
    'put mappings',
    'put slots',
    'put routes',
    'put holdings',
    'put endpoints',
    'put mappings',
  ];
  for (const batch of [changes, changes.toReversed()]) {
    const { apply } = await recorded();
    expect(await apply(batch)).toEqual(order);
  }
});

test('nobody is found any more before what it needs goes', async () => {
  const { apply } = await recorded();
  const before = [
    vpcChange(),
    subnetChange(),
    tableChange(self),
    endpointChange({ ip: '10.0.1.7', ...none }, 10),
    foreign(11),
  ];
  await apply(before);
  const gone = [
    vpcChange(20, true),
    tableChange(self, 20, true),
    subnetChange(20, true),
    endpointDeletion('10.0.1.9', 20),
    endpointDeletion('10.0.1.7', 20),
  ];
  expect(await apply(gone)).toEqual([
    'delete holdings',
    'delete mappings',
    'put tombstones',
    'delete endpoints',
    'delete routes',
    'delete slots',
    'delete mappings',
  ]);
});

test('a slot that is given up is not held any more before its mappings go', async () => {
  const { apply } = await recorded();
  await apply([vpcChange(), subnetChange(), tableChange(self), foreign(11)]);
  const leaving = tableChange(self, 20, false, { state: SlotState.LEAVING });
  expect(await apply([leaving])).toEqual(['put slots', 'put holdings']);
  expect(await apply([endpointDeletion('10.0.1.9', 21), tableChange(other, 21)])).toEqual([
    'delete holdings',
    'delete mappings',
    'put slots',
  ]);
});

test('an endpoint that leaves is not found any more before it cannot answer any more', async () => {
  for (const gone of [
    endpointDeletion('10.0.1.7', 20),
    endpointChange({ host: 'h2', hostAddress: '192.0.2.2' }, 20),
    endpointDeletion('10.0.1.7', 20, '192.0.2.2'),
  ]) {
    const { apply } = await recorded();
    const made = await apply([vpcChange(), subnetChange(), tableChange(other), endpointChange({}, 10)]);
    expect(made.slice(-2)).toEqual(['put ports', 'put endpoints']);
    const steps = await apply([gone]);
    expect(steps.slice(0, 5)).toEqual([
      'put tombstones',
      'delete endpoints',
      'delete ports',
      'delete budgets',
      'delete traffic',
    ]);
    expect(steps[5]).toBe('remove interface');
  }
});

test('a slot that a snapshot named which was cut short is not held by the next one', async () => {
  const { apply, reconciler, holdings } = await recorded();
  reconciler.holdBack();
  await apply([vpcChange(), subnetChange(), tableChange(self)]);
  // The session ended; by the next one the table is nothing to this host any more.
  reconciler.holdBack();
  forgetUnnamed(reconciler.known, emptyMarks());
  await reconciler.apply();
  reconciler.release();
  expect(holdings()).toBe(0);
});

test('a slot that two snapshots name is held when the second is complete', async () => {
  const { apply, reconciler, holdings } = await recorded();
  const table = [vpcChange(), subnetChange(), tableChange(self)];
  reconciler.holdBack();
  await apply(table);
  reconciler.holdBack();
  await apply(table);
  expect(holdings()).toBe(0);
  reconciler.release();
  expect(holdings()).toBe(256);
});
