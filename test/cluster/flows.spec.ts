// The account that the other specs judge by: it sees every loss, double, disorder and stranger, and when they were.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { flowTool } from './harness/cluster';
import { must, start } from './harness/command';
import { report } from './harness/traffic';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'megrez-flows-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

const kinds = { sent: 0, received: 1, returned: 2, misdelivered: 3, strange: 4, echoed: 5 } as const;

interface Note {
  readonly kind: keyof typeof kinds;
  readonly from?: number;
  readonly instance?: number;
  readonly to?: number;
  readonly number: number;
  readonly here?: number;
  readonly ms: number;
}

/** A file as a talker writes it: flow 1 to 2 unless it says otherwise. */
function file(name: string, notes: readonly Note[]): string {
  const records = notes.map(({ kind, from = 1, instance = 0, to = 2, number, here = 2, ms }) => {
    const record = Buffer.alloc(24);
    record.writeUInt32LE(from * 16 + instance, 0);
    record.writeUInt32LE(to, 4);
    record.writeUInt32LE(number, 8);
    record.writeUInt32LE((kinds[kind] << 28) | here, 12);
    record.writeBigInt64LE(BigInt(ms * 1e6), 16);
    return record;
  });
  const path = join(directory, name);
  writeFileSync(path, Buffer.concat(records));
  return path;
}

const merge = async (...files: readonly string[]) => JSON.parse(await must([flowTool(), 'merge', ...files])) as object;

test('loss, doubles, disorder and what came to the wrong place are told apart, with the time of each gap', async () => {
  const sent = file(
    'sender',
    [0, 1, 2, 3, 4, 5, 6, 7].map((number) => ({ kind: 'sent', number, here: 1, ms: 100 + number })),
  );
  const arrivals = [0, 1, 5, 4, 5, 7].map((number, i) => ({ kind: 'received' as const, number, ms: 101 + 10 * i }));
  const one = file('receiver', arrivals);
  const other = file('stranger', [
    { kind: 'misdelivered', number: 6, here: 3, ms: 107 },
    { kind: 'strange', from: 9, number: 77, here: 3, ms: 108 },
    { kind: 'received', from: 8, number: 3, here: 3, ms: 109 },
  ]);
  expect(await merge(sent, one, other)).toMatchObject({
    sent: 8,
    received: 7,
    lost: 3,
    duplicated: 1,
    reordered: 1,
    misdelivered: 1,
    strange: 1,
    unsent: 1,
    silence_ms: 10,
    gaps: [
      { from: 1, to: 2, first: 2, count: 2, begin_ms: 102, end_ms: 103, echo: false },
      { from: 1, to: 2, first: 6, count: 1, begin_ms: 106, end_ms: 106, echo: false },
    ],
  });
});

test('an echo that does not come back is not a loss of the way there', async () => {
  const sender = file('echo-sender', [
    ...[0, 1, 2].map((number) => ({ kind: 'echoed' as const, number, here: 1, ms: number })),
    { kind: 'returned', number: 0, here: 1, ms: 3 },
    { kind: 'returned', number: 0, here: 1, ms: 4 },
  ]);
  const receiver = file(
    'echo-receiver',
    [0, 1].map((number) => ({ kind: 'received', number, ms: 2 })),
  );
  expect(await merge(sender, receiver)).toMatchObject({
    lost: 1,
    echoes: { sent: 3, lost: 1, duplicated: 1 },
    gaps: [
      { first: 1, count: 1, echo: true },
      { first: 2, count: 1, echo: false },
    ],
  });
});

test('two processes of one endpoint count as one receiver', async () => {
  const sender = file(
    'to-both',
    [0, 1, 2].map((number) => ({ kind: 'sent', number, here: 1, ms: number })),
  );
  const old = file(
    'old',
    [0, 1].map((number) => ({ kind: 'received', number, ms: number })),
  );
  const fresh = file(
    'new',
    [1, 2].map((number) => ({ kind: 'received', number, ms: number + 1 })),
  );
  expect(await merge(sender, old, fresh)).toMatchObject({ sent: 3, received: 4, lost: 0, duplicated: 1, gaps: [] });
});

test('talkers send at the pace asked for, answer echoes, and notice who is not meant', async () => {
  // Two processes in one namespace of their own: 127.0.0.2 reaches the same socket as 127.0.0.1.
  const path = join(directory, 'talker');
  const up = 'ip link set lo up; exec "$0" "$@"';
  const running = start(['unshare', '--net', 'sh', '-c', up, flowTool(), 'talk', path, '7', '1', '0', '9999', '1']);
  await running.said('ready');
  running.write('to 127.0.0.1 1 2000 64 1000 echo\n');
  running.write('to 127.0.0.2 2 2000 1400 100 one-way\n');
  running.write('stray 127.0.0.3 1000 64 10\n');
  while (running.output().split('over\n').length < 4) {
    await running.heard();
  }
  expect(await report<object>(running)).toEqual({ sent: 1110, refused: 0, received: 2110, overflowed: 0 });
  expect(await merge(path)).toMatchObject({
    sent: 1110,
    received: 1000,
    lost: 100,
    duplicated: 0,
    misdelivered: 110,
    strange: 0,
    unsent: 0,
    echoes: { sent: 1000, lost: 0, duplicated: 0 },
  });
});
