import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRevisionIndex } from './revision-index';

const kv = (path: string, modRevision: number) => ({
  key: Buffer.from(path),
  value: Buffer.from(`${path}@${modRevision}`),
  modRevision,
  createRevision: 1,
  version: 1,
  lease: '0',
});

const contents = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: 1, max: 4 }));

test('the difference leads from any known state to any snapshot, and names nothing that is equal', () => {
  fc.assert(
    fc.property(contents, contents, fc.boolean(), (before, after, all) => {
      const index = createRevisionIndex();
      index.apply(Object.entries(before).map(([path, revision]) => ({ path, revision, value: Buffer.from('') })));
      const comparison = index.compare({ all });
      comparison.add(Object.entries(after).map(([path, revision]) => kv(path, revision)));
      const events = comparison.finish(9);
      const state = new Map(Object.entries(before));
      const wrong: unknown[] = [];
      for (const { path, revision, value } of events) {
        if (!all && state.get(path) === revision) wrong.push(path);
        if (value === undefined) {
          if (revision !== 9 || !state.delete(path)) wrong.push(path);
        } else {
          if (value.toString() !== `${path}@${revision}`) wrong.push(path);
          state.set(path, revision);
        }
      }
      expect(wrong).toEqual([]);
      expect(Object.fromEntries(state)).toEqual(after);
      expect(new Set(events.map(({ path }) => path)).size).toBe(events.length);
      expect(index.size).toBe(Object.keys(after).length);
    }),
  );
});

test('an unfinished comparison changes nothing', () => {
  const index = createRevisionIndex();
  index.apply([{ path: 'a', revision: 1, value: Buffer.from('') }]);
  index.compare({ all: false }).add([kv('b', 2)]);
  expect(index.compare({ all: false }).finish(5)).toEqual([{ path: 'a', revision: 5, value: undefined }]);
});
