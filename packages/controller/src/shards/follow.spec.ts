import { Writable } from 'node:stream';
import { ShardProgress } from '@megrez/model';
import { expect, it } from 'vitest';
import type { Context } from '../context';
import { emptyMirror } from '../mirror';
import { follow } from './progress';

it('a watcher that does not read is not written to without end, and told the end', async () => {
  const mirror = emptyMirror();
  const context = { mirror, closing: new AbortController().signal } as unknown as Context;
  const taken: ShardProgress[] = [];
  let read: (() => void) | undefined;
  const call = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write: (progress: ShardProgress, _, done) => {
      taken.push(progress);
      if (read === undefined) read = done;
      else done();
    },
  });
  let looks = 0;
  const raising = setInterval(() => mirror.changed.raise(), 10);
  await follow(context, Object.assign(call, { cancelled: false }) as never, () => {
    looks += 1;
    return { progress: ShardProgress.create({ total: 9, done: looks }), ended: looks === 9 };
  });
  clearInterval(raising);
  read?.();
  await new Promise((resolve) => call.on('finish', resolve));
  expect(taken.map(({ done }) => done)).toEqual([1, 9]);
});
