/** The executor as an asynchronous function: batches of worlds in, what the kernel did out. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MapName, maps, type ProgramWord, Verdict } from '@megrez/abi';
import { executorSource } from './paths';
import { encodeKey, encodeValue, type World } from './world';

const ports = 3;
/** Requests that may be under way at once; as in executor.c. */
const machineSlots = 4;
/** Interfaces of the executor's namespace: the first is the underlay's. */
export const nicIfindex = 2;
export const portIfindexes = [4, 6, 8] as const;

/** Maps that programs write: read and emptied after every world. */
export const written = [
  'paths',
  'notices',
  'hosts',
  'budgets',
  'traffic',
  'drops',
  'flows',
  'young_flows',
  'quotas',
] as const;
export type Written = (typeof written)[number];

export interface Shown {
  /** Of the system call; 0: it ran. */
  readonly errno: number;
  readonly retval: number;
  /** CLOCK_MONOTONIC_COARSE before and after, ns. Mostly equal: then it is exactly what the program saw. */
  readonly before: number;
  readonly after: number;
  /** How much the counters of all verdicts rose; 1 unless something is wrong. */
  readonly packets: number;
  readonly verdict: number;
  readonly bytes: number;
  readonly packet: Buffer;
  readonly emitted: readonly { readonly ifindex: number; readonly packet: Buffer }[];
}

export interface Result {
  readonly shown: readonly Shown[];
  /** Keys and values as they are in the map. */
  readonly maps: Readonly<Record<Written, readonly { readonly key: Buffer; readonly value: Buffer }[]>>;
}

export interface Machine {
  run(worlds: readonly World[]): Promise<readonly Result[]>;
  /** The marks of a marked object since the last call; undefined for others. */
  marks(): Promise<Buffer | undefined>;
  close(): void;
}

interface Introduction {
  readonly maps: readonly { readonly name: string; readonly keySize: number; readonly valueSize: number }[];
}

/** What `nic` puts on a packet that its host sends on its way again; as in bpf/flow.h. */
const againMark = 0x6d676761;

const programBytes: Record<ProgramWord, number> = { endpoint: 0, nic: 1, bouncer: 2, tunnel: 3 };

export const startMachine = async (object: string): Promise<Machine> => {
  const directory = mkdtempSync('/dev/shm/megrez-fuzz-');
  const child = spawn(build(), [object, String(ports), String(Verdict.count), directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const output = outputOf(child);
  const introduction = JSON.parse((await output((all) => all.indexOf(10) + 1)).toString()) as Introduction;
  const index = new Map(introduction.maps.map(({ name }, at) => [name, at]));
  const marksMap = introduction.maps.find(({ name }) => name.endsWith('.bss'));
  const indexOf = (map: string): number => {
    const found = index.get(map);
    if (found === undefined) throw new Error(`the object has no map ${map}`);
    return found;
  };

  // Requests are answered in order, so the slots go round.
  let next = 0;
  const files: number[] = [];
  const fileOf = (name: string, slot: number): number => {
    const at = slot * 2 + (name === 'reply' ? 1 : 0);
    files[at] ??= openSync(join(directory, `${name}.${slot}`), 'r+');
    return files[at];
  };
  const ask = async (request: readonly Buffer[]): Promise<Buffer> => {
    const slot = next++ % machineSlots;
    const whole = Buffer.concat(request);
    writeSync(fileOf('request', slot), whole, 0, whole.length, 0);
    const announced = Buffer.alloc(8);
    announced.writeUInt32LE(slot, 0);
    announced.writeUInt32LE(whole.length, 4);
    child.stdin?.write(announced);
    const reply = Buffer.allocUnsafe((await output(() => 8)).readUInt32LE(4));
    readSync(fileOf('reply', slot), reply, 0, reply.length, 0);
    return reply;
  };

  return {
    async run(worlds) {
      const request: Buffer[] = [];
      for (const world of worlds) {
        for (const { map, key, value } of world.entries)
          request.push(Buffer.from(['U'.charCodeAt(0), indexOf(map)]), encodeKey(map, key), encodeValue(map, value));
        for (const shot of world.shots) {
          const head = Buffer.alloc(20);
          head.write('R');
          head.writeUInt8(programBytes[shot.program], 1);
          head.writeUInt16LE(shot.packet.length, 2);
          head.writeUInt32LE(shot.ifindex, 4);
          head.writeUInt32LE(shot.gso_size, 8);
          head.writeUInt32LE(shot.gso_size ? Math.ceil(shot.packet.length / shot.gso_size) : 0, 12);
          head.writeUInt32LE(shot.again ? againMark : 0, 16);
          request.push(head, shot.packet);
        }
        for (const map of written) request.push(Buffer.from(['X'.charCodeAt(0), indexOf(map)]));
        request.push(Buffer.from('C'));
      }
      const reader = readerOf(await ask(request));
      return worlds.map((world) => ({
        shown: world.shots.map(() => readShown(reader)),
        maps: Object.fromEntries(written.map((map) => [map, readEntries(reader, map)])) as unknown as Result['maps'],
      }));
    },
    async marks() {
      if (!marksMap) return undefined;
      return ask([Buffer.from(['Z'.charCodeAt(0), indexOf(marksMap.name)])]);
    },
    close() {
      child.stdin?.end();
      for (const file of files) if (file !== undefined) closeSync(file);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

/** Does the verifier take every program of the object? */
export const canLoad = (object: string): boolean => {
  const directory = mkdtempSync('/dev/shm/megrez-fuzz-');
  const { status } = spawnSync(build(), [object, '0', String(Verdict.count), directory], { input: '', stdio: 'pipe' });
  rmSync(directory, { recursive: true, force: true });
  return status === 0;
};

/** The executor's binary, built when its source is newer. */
const build = (): string => {
  const source = executorSource;
  const output = join(tmpdir(), `megrez-fuzz-${process.getuid?.()}`, 'executor');
  if (existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs) return output;
  mkdirSync(join(output, '..'), { recursive: true });
  const partial = `${output}.${process.pid}`;
  execFileSync('gcc', ['-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-o', partial, source, '-lbpf']);
  renameSync(partial, output);
  return output;
};

/** Reads what the child announces, in order; `take` says how many bytes are one announcement, 0 when it cannot yet. */
const outputOf = (child: ChildProcess): ((take: (all: Buffer) => number) => Promise<Buffer>) => {
  const waiting: { take: (all: Buffer) => number; done: (bytes: Buffer) => void; fail: (error: Error) => void }[] = [];
  let all: Buffer = Buffer.alloc(0);
  let failed: Error | undefined;
  const serve = (): void => {
    for (let first = waiting[0]; first; first = waiting[0]) {
      const size = first.take(all);
      if (size === 0 || size > all.length) return;
      waiting.shift();
      first.done(all.subarray(0, size));
      all = all.subarray(size);
    }
  };
  child.stdout?.on('data', (chunk: Buffer) => {
    all = Buffer.concat([all, chunk]);
    serve();
  });
  child.on('exit', (code, signal) => {
    failed = new Error(`the executor ended (${signal ?? code})`);
    for (const one of waiting.splice(0)) one.fail(failed);
  });
  return (take) =>
    new Promise((done, fail) => {
      if (failed) return fail(failed);
      waiting.push({ take, done, fail });
      serve();
    });
};

interface Reader {
  u32(): number;
  u64(): number;
  bytes(count: number): Buffer;
}

const readerOf = (buffer: Buffer): Reader => {
  let at = 0;
  const bytes = (count: number): Buffer => {
    at += count;
    return buffer.subarray(at - count, at);
  };
  return {
    bytes,
    u32: () => bytes(4).readUInt32LE(0),
    u64: () => Number(bytes(8).readBigUInt64LE(0)),
  };
};

const readShown = (reader: Reader): Shown => ({
  errno: reader.u32(),
  retval: reader.u32(),
  before: reader.u64(),
  after: reader.u64(),
  packets: reader.u32(),
  verdict: reader.u32(),
  bytes: reader.u64(),
  packet: reader.bytes(reader.u32()),
  emitted: Array.from({ length: reader.u32() }, () => ({ ifindex: reader.u32(), packet: reader.bytes(reader.u32()) })),
});

const readEntries = (reader: Reader, map: MapName): { key: Buffer; value: Buffer }[] =>
  Array.from({ length: reader.u32() }, () => ({
    key: reader.bytes(maps[map].key.size),
    value: reader.bytes(maps[map].value.size),
  }));
