import { SlotState, type SlotTable } from '@megrez/model';
import { ownersOf, type PlaceHost, place } from '@megrez/ring';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSettled, loadingHosts, movesOf, restingTarget, stubsOf, type Target } from './moves';
import { type FleetHost, hostsBySlot, makePlan, reasonToPlan, targetOf } from './plan';
import { abandon, check, forget, load, retire, serve } from './steps';

const hosts: FleetHost[] = [1, 2, 3, 4, 5].map((n) => ({
  name: `h${n}`,
  address: `192.168.0.${n}`,
  weight: 0,
  zone: '',
  eligible: true,
  attached: true,
  gone: undefined,
}));
const addressOf = (host: string): string => hosts.find(({ name }) => name === host)?.address ?? '';
const base = { vni: 1, subnet: 1 };

const placed = (names: readonly string[], table?: SlotTable): SlotTable =>
  place({
    ...base,
    hosts: hosts.map((host): PlaceHost => ({ ...host, eligible: names.includes(host.name) })),
    bouncers: names.length,
    pinned: names,
    ...(table === undefined ? {} : { table }),
  });

const owners = fc.subarray(
  hosts.map(({ name }) => name),
  { minLength: 1, maxLength: 4 },
);
/** 256 bits of chance, by which a step takes or leaves a slot. */
const some = fc
  .uint8Array({ minLength: 256, maxLength: 256 })
  .map((bytes) => new Set([...bytes.keys()].filter((i) => (bytes[i] as number) % 2)));
const deeds = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('plan' as const), names: owners }),
    fc.record({ kind: fc.constantFrom('load' as const, 'serve' as const, 'retire' as const), slots: some }),
  ),
  { maxLength: 20 },
);

/** What a step did wrong; plain comparisons, since there are thousands of them. */
const wrongs = (before: SlotTable, after: SlotTable, loaded: ReadonlySet<string>): readonly string[] => {
  const wrong: string[] = [];
  for (let slot = 0; slot < 256; slot += 1) {
    const was = new Map(ownersOf(before, slot).map(({ host, state }) => [host, state]));
    const now = ownersOf(after, slot);
    if (!now.some(({ state }) => state === SlotState.SERVING)) wrong.push(`nobody serves ${slot}`);
    if (new Set(now.map(({ host }) => host)).size < now.length) wrong.push(`somebody holds ${slot} twice`);
    for (const { host, state } of now) {
      const then = was.get(host);
      const ready = then === SlotState.LOADING ? loaded.has(host) : then !== undefined;
      if (state !== SlotState.LOADING && !ready) wrong.push(`${host} has not loaded ${slot}`);
    }
    for (const [host, state] of was) {
      const left = !now.some((holder) => holder.host === host);
      if (state === SlotState.SERVING && left) wrong.push(`${host} serves ${slot}, and is gone at once`);
    }
  }
  return wrong;
};

describe('steps', () => {
  test('keep every slot served, in any order, and arrive wherever they shall', () => {
    fc.assert(
      fc.property(owners, deeds, (names, list) => {
        let table = placed(names);
        let target: Target = restingTarget(table);
        const take = (next: SlotTable, loaded: ReadonlySet<string> = new Set()): void => {
          expect(wrongs(table, next, loaded)).toEqual([]);
          expect(next.epoch - table.epoch).toBe(loaded.size > 0 && next !== table ? 1 : 0);
          table = next;
        };
        for (const deed of list) {
          if (deed.kind === 'plan') {
            target = hostsBySlot(placed(deed.names));
            take(abandon(table, target));
          } else if (deed.kind === 'load') take(load(table, target, deed.slots, addressOf));
          else if (deed.kind === 'retire') take(retire(table, deed.slots));
          else {
            const loaded = new Set(hosts.map(({ name }) => name));
            take(
              serve(table, target, (host) => loaded.has(host), addressOf, deed.slots),
              loaded,
            );
          }
        }
        const all = new Set(Array.from({ length: 256 }, (_, slot) => slot));
        const everybody = new Set(hosts.map(({ name }) => name));
        take(load(table, target, all, addressOf));
        take(
          serve(table, target, () => true, addressOf),
          everybody,
        );
        take(retire(table, all));
        expect(isSettled(table, target)).toBe(true);
        expect(movesOf(table, target)).toEqual([]);
        const known = forget(table, new Set(stubsOf(table)));
        expect(stubsOf(known)).toEqual([]);
        expect(hostsBySlot(known)).toEqual(hostsBySlot(table));
        expect(known.owners.every(({ host, address }) => address === addressOf(host))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('wait for those who have not loaded', () => {
    const table = placed(['h1', 'h2']);
    const target = hostsBySlot(placed(['h2', 'h3'], table));
    const all = new Set(Array.from({ length: 256 }, (_, slot) => slot));
    const loading = load(table, target, all, addressOf);
    expect(loadingHosts(loading)).toEqual(['h3']);
    expect(serve(loading, target, () => false, addressOf, all)).toBe(loading);
    expect(movesOf(loading, target)).toHaveLength(256);
    expect(
      movesOf(loading, target).every(
        ({ from, to, state }) => from === 'h1' && to === 'h3' && state === SlotState.LOADING,
      ),
    ).toBe(true);
    const served = serve(loading, target, () => true, addressOf);
    expect(served.epoch).toBe(table.epoch + 1);
    expect(movesOf(served, target).every(({ state }) => state === SlotState.LEAVING)).toBe(true);
  });

  test('a table that loses a slot is never made', () => {
    const table = placed(['h1']);
    expect(() => check(table, { ...table, slots: table.slots.map(() => ({ holders: [] })) })).toThrow(/has no owner/);
    expect(() => check({ ...table, epoch: 2 }, table)).toThrow(/epoch/);
  });
});

describe('a plan', () => {
  const fleet = (change: (host: FleetHost) => Partial<FleetHost> = () => ({})) =>
    new Map(hosts.map((host) => [host.name, { ...host, ...change(host) }]));
  const wish = { bouncers: 2, pinned: [] };
  const gone = (name: string) => fleet((host) => (host.name === name ? { eligible: false, gone: 'is drained' } : {}));

  test('is made for an owner that must go, and moves what it held', () => {
    const table = placed(['h1', 'h2']);
    const why = reasonToPlan(table, undefined, wish, gone('h1'));
    expect(why).toBe('h1 is drained');
    const plan = makePlan({ table, plan: undefined, wish, hosts: gone('h1'), why: why ?? '', job: 7 });
    expect(plan).toMatchObject({ job: 7, total: 256, settled: false, bouncers: 2 });
    expect(plan && movesOf(table, targetOf(plan)).every(({ from }) => from === 'h1')).toBe(true);
    expect(plan && reasonToPlan(table, plan, wish, gone('h1'))).toBeUndefined();
  });

  test('is not made for what is as it should be, for new hosts, or for a host that is away for a moment', () => {
    const table = placed(['h1', 'h2']);
    expect(reasonToPlan(table, undefined, wish, fleet())).toBeUndefined();
    expect(
      reasonToPlan(
        table,
        undefined,
        wish,
        fleet(({ name }) => ({ attached: name !== 'h1' })),
      ),
    ).toBeUndefined();
    expect(makePlan({ table, plan: undefined, wish, hosts: fleet(), why: '', job: 0 })).toBeUndefined();
  });

  test('gives nothing to hosts that are detached, and is not made when nobody is left', () => {
    const table = placed(['h1', 'h2']);
    const only = fleet(({ name }) => ({ eligible: name !== 'h1', attached: name === 'h4' || name === 'h1' }));
    const plan = makePlan({ table, plan: undefined, wish, hosts: only, why: '', job: 0 });
    expect(plan?.owners.map(({ host }) => host)).toEqual(['h2', 'h4']);
    const nobody = fleet(() => ({ eligible: false, attached: true }));
    expect(reasonToPlan(table, undefined, wish, nobody)).toBeUndefined();
    expect(makePlan({ table, plan: undefined, wish, hosts: nobody, why: '', job: 0 })).toBeUndefined();
  });

  test('is made for another wish, as far as there are hosts', () => {
    const table = placed(['h1', 'h2']);
    expect(reasonToPlan(table, undefined, { bouncers: 3, pinned: [] }, fleet())).toMatch(/3 owners are wished|3 hosts/);
    expect(reasonToPlan(table, undefined, { bouncers: 2, pinned: ['h5'] }, fleet())).toBe('pinned to h5');
    const many = { bouncers: 9, pinned: [] };
    const plan = makePlan({ table, plan: undefined, wish: many, hosts: fleet(), why: '', job: 0 });
    expect(plan?.owners).toHaveLength(5);
  });

  test('that is settled is left alone until an owner goes or the wish changes', () => {
    const table = placed(['h1', 'h2', 'h3']);
    const made = makePlan({ table, plan: undefined, wish, hosts: fleet(), why: '', job: 1 });
    if (made === undefined) throw new Error('no plan');
    const settled = { ...made, settled: true };
    expect(reasonToPlan(table, settled, wish, fleet())).toBeUndefined();
    expect(reasonToPlan(table, settled, { bouncers: 1, pinned: [] }, fleet())).toBe('1 owner is wished');
    expect(reasonToPlan(table, settled, wish, gone('h3'))).toBe('h3 is drained');
  });
});
