import { Subnet, Vpc } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keys, openStore, parseKey, prefixes, type Store, StoreError } from './index';
import { storePath } from './keys';
import { compact, fill, sleep } from './testing/fixtures';
import { type Etcd, startEtcd, startProxy } from './testing/index';

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

const vpc = (name: string, vni = 1): Vpc => Vpc.create({ name, vni });
const put = (name: string, vni = 1) => ({ kind: 'put', key: keys.vpc(name), value: vpc(name, vni) }) as const;
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof StoreError ? error.code : String(error);
};

describe('store id', () => {
  test('is written once, whoever comes first', async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => openStore({ endpoints: [etcd.endpoint] })));
    expect(new Set(others.map(({ storeId }) => storeId))).toEqual(new Set([store.storeId]));
    expect(store.storeId).toMatch(/^[0-9a-f-]{36}$/);
    expect(parseKey(storePath)).toEqual({ kind: 'other' });
    await Promise.all(others.map((other) => other.close()));
  });

  test('racing openers of an empty etcd agree', async () => {
    const empty = await startEtcd();
    const racers = await Promise.all(Array.from({ length: 8 }, () => openStore({ endpoints: [empty.endpoint] })));
    expect(new Set(racers.map(({ storeId }) => storeId)).size).toBe(1);
    await Promise.all(racers.map((racer) => racer.close()));
    await empty.close();
  });
});

describe('get and getMany', () => {
  test('answers the message and its revisions', async () => {
    const first = await store.txn([], [put('get', 1)]);
    const second = await store.txn([], [put('get', 2)]);
    expect(await store.get(keys.vpc('get'))).toEqual({
      path: '/megrez/v1/vpcs/get',
      value: vpc('get', 2),
      revision: second.revision,
      created_revision: first.revision,
      version: 2,
    });
    expect(await store.get(keys.vpc('nobody'))).toBeUndefined();
  });

  test('keeps the order of 300 keys, with holes', async () => {
    const names = Array.from({ length: 300 }, (_, i) => `many-${i}`);
    const present = names.filter((_, i) => i % 3 !== 0);
    await fill(
      store,
      present.map((name) => ({ key: keys.vpc(name), value: vpc(name) })),
    );
    const found = await store.getMany(names.map((name) => keys.vpc(name)));
    expect(found.map((entry) => entry?.value.name)).toEqual(names.map((name, i) => (i % 3 === 0 ? undefined : name)));
    expect(await store.getMany([])).toEqual([]);
  });
});

describe('range and count', () => {
  const numbers = Array.from({ length: 2_500 }, (_, i) => i + 1);
  beforeAll(() =>
    fill(
      store,
      numbers.map((number) => ({ key: keys.subnet(77, number), value: Subnet.create({ number }) })),
    ),
  );

  test('reads all pages at one revision, in the order of the keys', async () => {
    const before = await store.txn([], [put('pin')]);
    const writing = fill(store, [{ key: keys.subnet(77, 1), value: Subnet.create({ number: 99_999 }) }]);
    const { entries, more, revision } = await store.range(prefixes.subnets(77), { revision: before.revision });
    await writing;
    expect({ more, revision }).toEqual({ more: false, revision: before.revision });
    expect(entries.map(({ path }) => path)).toEqual(numbers.map((n) => `/megrez/v1/subnets/77/${n}`).sort());
    expect(entries.find(({ path }) => path.endsWith('/1'))?.value.number).toBe(1);
  });

  test('goes on behind the last entry of a page', async () => {
    const paths: string[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await store.range(prefixes.subnets(77), { limit: 1_100, ...(after === undefined ? {} : { after }) });
      paths.push(...page.entries.map(({ path }) => path));
      after = page.entries.at(-1)?.path;
      expect(page.entries.length).toBe(page.more ? 1_100 : 300);
      if (!page.more) break;
    }
    expect(paths).toEqual(numbers.map((n) => `/megrez/v1/subnets/77/${n}`).sort());
  });

  test('keeps to its prefix', async () => {
    await fill(store, [{ key: keys.subnet(778, 1), value: Subnet.create({ number: 1 }) }]);
    expect(await store.count(prefixes.subnets(77))).toBe(2_500);
    expect(await store.count(prefixes.subnets(7))).toBe(0);
    expect((await store.range(prefixes.subnets(7))).entries).toEqual([]);
  });

  test('pages of large values stay whole', async () => {
    const items = Array.from({ length: 40 }, (_, i) => ({
      key: keys.vpc(`large-${i}`),
      value: Vpc.create({ name: `large-${i}`, cidrs: ['x'.repeat(500_000)] }),
    }));
    for (const { key, value } of items) await store.txn([], [{ kind: 'put', key, value }]);
    const { entries } = await store.range(prefixes.vpcs());
    expect(entries.filter(({ path }) => path.includes('large-')).length).toBe(40);
    for (const { key } of items) await store.txn([], [{ kind: 'remove', key }]);
  });

  test('a compaction between two pages does not matter to who asked for no revision', async () => {
    const proxy = await startProxy(etcd.endpoint);
    const slow = await openStore({ endpoints: [proxy.endpoint] });
    proxy.delay(300);
    const reading = slow.range(prefixes.subnets(77));
    await sleep(100);
    const { revision } = await store.txn([], [put('between')]);
    await compact(etcd.endpoint, revision);
    const { entries, more } = await reading;
    expect([entries.length, more]).toEqual([2_500, false]);
    await slow.close();
    await proxy.close();
  });

  test('says COMPACTED for a revision that is gone', async () => {
    const { revision } = await store.txn([], [put('gone')]);
    await store.txn([], [put('gone')]);
    const { revision: newest } = await store.txn([], [put('gone')]);
    await compact(etcd.endpoint, newest);
    expect(await codeOf(store.range(prefixes.vpcs(), { revision }))).toBe('COMPACTED');
  });
});

describe('txn', () => {
  test('absent: one of many creators wins, the others learn who', async () => {
    const key = keys.vpc('race');
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => store.txn([{ kind: 'absent', key }], [put('race', i)])),
    );
    const winner = results.findIndex(({ succeeded }) => succeeded);
    const losers = results.filter(({ succeeded }) => !succeeded);
    expect(losers.length).toBe(19);
    for (const loser of losers) {
      expect(loser).toMatchObject({ failed: [{ compare: { kind: 'absent' }, current: { value: { vni: winner } } }] });
    }
  });

  test('tells exactly the compares that failed, in their order', async () => {
    const a = await store.txn([], [put('cmp-a')]);
    const b = await store.txn([], [put('cmp-b')]);
    await store.txn([], [put('cmp-b', 2)]);
    const compares = [
      { kind: 'revision', key: keys.vpc('cmp-a'), revision: a.revision },
      { kind: 'revision', key: keys.vpc('cmp-b'), revision: b.revision },
      { kind: 'created', key: keys.vpc('cmp-b'), revision: b.revision },
      { kind: 'created', key: keys.vpc('cmp-a'), revision: 1 },
      { kind: 'absent', key: keys.vpc('cmp-none') },
      { kind: 'revision', key: keys.vpc('cmp-none'), revision: 5 },
      { kind: 'revision', key: keys.vpc('cmp-none'), revision: 0 },
    ] as const;
    const result = await store.txn(compares, [put('cmp-c')]);
    if (result.succeeded) throw new Error('succeeded');
    expect(result.failed.map(({ compare }) => compare)).toEqual([compares[1], compares[3], compares[5]]);
    expect(result.failed.map(({ current }) => current?.value.vni)).toEqual([2, 1, undefined]);
    expect(await store.get(keys.vpc('cmp-c'))).toBeUndefined();
    const right = compares.filter((_, i) => [0, 2, 4, 6].includes(i));
    expect(await store.txn(right, [put('cmp-c')])).toMatchObject({ succeeded: true });
  });

  test('empty: holds only while nothing is below the prefix', async () => {
    const empty = [{ kind: 'empty', prefix: prefixes.subnets(5) }] as const;
    const key = keys.subnet(5, 3);
    expect(await store.txn(empty, [{ kind: 'put', key, value: Subnet.create({ number: 3 }) }])).toMatchObject({
      succeeded: true,
    });
    expect(await store.txn(empty, [put('never')])).toMatchObject({
      succeeded: false,
      failed: [{ compare: { kind: 'empty' }, current: { path: '/megrez/v1/subnets/5/3', value: { number: 3 } } }],
    });
    await store.txn([], [{ kind: 'remove', key }]);
    expect(await store.txn(empty, [])).toMatchObject({ succeeded: true });
  });

  test('empty: of many writers below a prefix, none slips past its removal', async () => {
    const prefix = prefixes.subnets(6);
    const guard = keys.vpc('guard');
    const { revision } = await store.txn([], [put('guard')]);
    const compares = [{ kind: 'revision', key: guard, revision }] as const;
    const writers = Array.from({ length: 30 }, (_, number) =>
      store.txn(compares, [{ kind: 'put', key: keys.subnet(6, number), value: Subnet.create({ number }) }]),
    );
    const remover = store.txn([{ kind: 'empty', prefix }], [{ kind: 'remove', key: guard }]);
    const written = (await Promise.all(writers)).filter(({ succeeded }) => succeeded).length;
    expect(await store.count(prefix)).toBe(written);
    expect((await remover).succeeded).toBe(written === 0);
  });

  test('removes, counts one revision for all operations', async () => {
    await store.txn([], [put('rm-1'), put('rm-2')]);
    const { revision } = await store.txn([], [{ kind: 'remove', key: keys.vpc('rm-1') }, put('rm-2', 9), put('rm-3')]);
    const [gone, ...kept] = await store.getMany([keys.vpc('rm-1'), keys.vpc('rm-2'), keys.vpc('rm-3')]);
    expect(gone).toBeUndefined();
    expect(kept.map((entry) => entry?.revision)).toEqual([revision, revision]);
  });

  test('refuses what etcd would refuse, before or after asking', async () => {
    const many = Array.from({ length: 129 }, (_, i) => put(`too-${i}`));
    expect(await codeOf(store.txn([], many))).toBe('INVALID');
    expect(await codeOf(store.txn([], [put('twice'), put('twice')]))).toBe('INVALID');
    const large = Vpc.create({ name: 'large', cidrs: ['x'.repeat(1_600_000)] });
    expect(await codeOf(store.txn([], [{ kind: 'put', key: keys.vpc('large'), value: large }]))).toBe('TOO_LARGE');
    expect(await store.txn([], many.slice(0, 128))).toMatchObject({ succeeded: true });
    const nearly = Vpc.create({ name: 'large', cidrs: ['x'.repeat(1_500_000)] });
    expect(await store.txn([], [{ kind: 'put', key: keys.vpc('large'), value: nearly }])).toMatchObject({
      succeeded: true,
    });
  });
});

describe('errors', () => {
  test('an etcd that is away: reads and writes wait for it and then succeed', async () => {
    const other = await startEtcd();
    const away = await openStore({ endpoints: [other.endpoint] });
    await other.kill();
    const calls = Promise.all([away.get(keys.vpc('x')), away.txn([], [put('x')])]).catch((error: unknown) => error);
    await other.restart();
    const outcome = await calls;
    // The write may have met the dying connection; then it must say so.
    const code = outcome instanceof Error ? StoreError.from(outcome).code : undefined;
    expect(['UNAVAILABLE', undefined]).toContain(code);
    expect(await away.txn([], [put('y')])).toMatchObject({ succeeded: true });
    expect(await away.get(keys.vpc('y'))).toMatchObject({ value: { name: 'y' } });
    await away.close();
    await other.close();
  });

  test('a stopped etcd: DEADLINE, ambiguous for a write only', async () => {
    const other = await startEtcd();
    const away = await openStore({ endpoints: [other.endpoint] });
    other.stop();
    const [read, write] = await Promise.allSettled([away.get(keys.vpc('x')), away.txn([], [put('x')])]);
    expect(read).toMatchObject({ reason: { code: 'DEADLINE', ambiguous: false } });
    expect(write).toMatchObject({ reason: { code: 'DEADLINE', ambiguous: true } });
    other.cont();
    expect(await codeOf(away.get(keys.vpc('x')))).toBe('undefined');
    await away.close();
    await other.close();
  });

  test('no endpoint, none that answers, a closed store', async () => {
    expect(await codeOf(openStore({ endpoints: [] }))).toBe('INVALID');
    expect(await codeOf(openStore({ endpoints: ['ftp://x:1'] }))).toBe('INVALID');
    const error = await openStore({ endpoints: ['http://127.0.0.1:1'] }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', ambiguous: false });
    const closed = await openStore({ endpoints: [etcd.endpoint] });
    await closed.close();
    expect(await codeOf(closed.get(keys.vpc('x')))).toBe('CLOSED');
    expect(await codeOf(closed.watch(() => {}))).toBe('CLOSED');
    expect(await codeOf(closed.lease(1_000))).toBe('CLOSED');
  });

  test('goes to the endpoint that answers', async () => {
    const both = await openStore({ endpoints: ['http://127.0.0.1:1', etcd.endpoint] });
    expect(both.storeId).toBe(store.storeId);
    expect(await both.txn([], [put('second')])).toMatchObject({ succeeded: true });
    await both.close();
  });
});
