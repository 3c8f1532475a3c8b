/**
 * Nanoseconds of the datapath's programs by BPF_PROG_TEST_RUN, beside programs that parse as far and do nothing else. The
 * lookup runs over and over, each time with another question. What changes a packet's length cannot be repeated in the
 * kernel: there a packet is one run, with the clock's own cost on both sides.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { counterIndex, decodePerCpu, maps, type ProgramWord, u32, type VerdictWord, verdictWords } from '@megrez/abi';
import {
  type BpfObject,
  type BpfProgram,
  createNetns,
  createVeth,
  deleteNetns,
  loadObject,
  mountBpffs,
  setLink,
  unmount,
} from '@megrez/kernel';
import { parseAddress } from '@megrez/model';
import { planUnderlay, type Row } from '@megrez/plan';
import { cookie, now_ns, steadyWindow } from '../../datapath/cookie';
import { ethernet, ethertype, ip, op, path, tunnel, udp } from '../../datapath/frames';
import {
  addresses,
  arpRequest,
  endpoint,
  hostMac,
  hostRow,
  hostRows,
  hosts,
  macBytes,
  macOf,
  pathRow,
  subnet,
  vni,
} from '../../datapath/world';
import { run } from './process';
import type { Figure } from './report';
import { median } from './statistics';

interface Bench {
  readonly dir: string;
  readonly bpffs: string;
  /** The datapath of a host of its own. */
  readonly h1: BpfObject;
  readonly h2: BpfObject;
  readonly h3: BpfObject;
  /** That of native/programs.bpf.c. */
  readonly frame: BpfObject;
  readonly signal: AbortSignal;
}

const rounds = 5;
const repeat = 400_000;
/** Runs of one packet each. */
const singles = 4_000;
/** What is learnt in between ages: rows are written anew so often. */
const fresh = 100;

const put = (object: BpfObject, rows: readonly Row[]): void => {
  for (const { map, key, value } of rows) {
    const { valueSize } = object.map(map);
    // A row is one CPU's part of a per-CPU map's.
    object.map(map).update(key, value.length === valueSize ? value : Buffer.alloc(valueSize, value));
  }
};

const countOf = (object: BpfObject, program: ProgramWord, verdict: VerdictWord): number => {
  const value = object.map('counters').lookup(u32.encode(counterIndex(program, verdict)));
  const parts = decodePerCpu(maps.counters.value, value ?? Buffer.alloc(0));
  return parts.reduce((sum, { packets }) => sum + Number(packets), 0);
};

const endpoints = [endpoint('a', 'h1'), endpoint('b', 'h2')];

/** `a` asks h3, a bouncer, for an address. */
const question = (): Buffer =>
  tunnel({
    ...{ fromMac: hostMac('h1'), toMac: hostMac('h3'), from: hosts.h1, to: hosts.h3, vni },
    options: path({ op: op.ask, subnet, epoch: 3, cookie: cookie(vni, addresses.b, now_ns()), host: hosts.h1 }),
    inner: arpRequest('b'),
  });

interface Spread {
  readonly mappings: number;
  readonly vnis: number;
}

const few: Spread = { mappings: 1_000, vnis: 10 };
const many = (mappings: number): Spread => ({ mappings, vnis: Math.max(1, Math.round(mappings / 100)) });

/** Of mapping `i`: its VNI, and its address as a number. */
const mappingAt = ({ vnis }: Spread, i: number) => ({
  vni: 1 + (i % vnis),
  ip: 0x0a00_0002 + Math.floor(i / vnis),
});

async function fill({ h3 }: Bench, spread: Spread): Promise<void> {
  const chunk = 50_000;
  const value = maps.mappings.value.encode({
    host: parseAddress(hosts.h2),
    generation: 5,
    mac: macBytes(macOf('b')),
  });
  for (let from = 0; from < spread.mappings; from += chunk) {
    const size = Math.min(chunk, spread.mappings - from);
    const keys = Array.from({ length: size }, (_, j) => {
      const at = mappingAt(spread, from + j);
      const address = Buffer.from(parseAddress('10.0.0.1'));
      address.writeUInt32BE(at.ip, 12);
      return maps.mappings.key.encode({ vni: at.vni, ip: address });
    });
    await h3.map('mappings').updateBatch(Buffer.concat(keys), Buffer.alloc(size * value.length, value));
  }
  const { count } = await h3.map('mappings').entries();
  if (count < spread.mappings) throw new Error(`${count} of ${spread.mappings} mappings are in the map`);
}

/** The first `count` mappings in an order that no prefetcher guesses, as `again` reads them. */
async function ask({ frame }: Bench, spread: Spread, count: number): Promise<void> {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let seed = 1;
  for (let i = count - 1; i > 0; i -= 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  const keys = Buffer.alloc(count * 4);
  const values = Buffer.alloc(count * 8);
  for (const [i, which] of order.entries()) {
    const at = mappingAt(spread, which);
    keys.writeUInt32LE(i, i * 4);
    values.writeUInt32BE(at.vni << 8, i * 8);
    values.writeUInt32BE(at.ip, i * 8 + 4);
  }
  await frame.map('questions').updateBatch(keys, values);
  const control = Buffer.alloc(8);
  control.writeUInt32LE(count);
  frame.map('control').update(u32.encode(0), control);
}

const xdp_tx = 3;

/** Mean of `again` with the program behind it. */
async function timeAgain(bench: Bench, program: 'bouncer' | 'floor_xdp', data: Buffer): Promise<number> {
  const pin = join(bench.bpffs, program);
  const next = ['map', 'update', 'pinned', join(bench.bpffs, 'maps/timed'), 'key', '0', '0', '0', '0'];
  await run(['bpftool', ...next, 'value', 'pinned', pin], bench.signal);
  const before = countOf(bench.h3, 'bouncer', 'answered');
  const { retval, duration_ns } = await bench.frame.program('again').testRun({ data, repeat });
  const answered = countOf(bench.h3, 'bouncer', 'answered') - before;
  if (retval !== xdp_tx || answered !== (program === 'bouncer' ? repeat : 0)) {
    throw new Error(`${program}: returned ${retval}, answered ${answered} of ${repeat}`);
  }
  return duration_ns;
}

interface Lookup {
  /** The lookup, with the floor's own time in it. */
  readonly own_ns: readonly number[];
  readonly floor_ns: readonly number[];
}

async function timeLookup(bench: Bench): Promise<Lookup> {
  const data = question();
  bench.frame.map('original').update(u32.encode(0), data);
  const own_ns: number[] = [];
  const floor_ns: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    bench.signal.throwIfAborted();
    const floor = (await bench.frame.program('floor_xdp').testRun({ data, repeat })).duration_ns;
    const withFloor = await timeAgain(bench, 'floor_xdp', data);
    const withLookup = await timeAgain(bench, 'bouncer', data);
    floor_ns.push(floor);
    own_ns.push(withLookup - withFloor + floor);
  }
  return { own_ns, floor_ns };
}

async function measureLookups(bench: Bench, mappings: number): Promise<readonly Figure[]> {
  put(bench.h3, hostRows('h3', ['h3'], endpoints));
  await fill(bench, few);
  await ask(bench, few, few.mappings);
  const small = await timeLookup(bench);
  const spread = many(mappings);
  await fill(bench, spread);
  // The same questions as before, whose answers are in the caches: what is left is the map's own growth.
  await ask(bench, few, few.mappings);
  const hot = await timeLookup(bench);
  await ask(bench, spread, spread.mappings);
  const cold = await timeLookup(bench);
  const of = (spread: Spread) => `${spread.mappings.toLocaleString('en')} mappings`;
  const name = 'lookup, ARP in → reply out (XDP)';
  return [
    { name: 'parse and return (XDP)', unit: 'ns', megrez: small.floor_ns },
    { name: `${name}, ${of(few)}`, unit: 'ns', megrez: small.own_ns, target: { is: 'at most', value: 120 } },
    { name: `${name}, ${of(spread)}, the same 1,000 asked for`, unit: 'ns', megrez: hot.own_ns },
    { name: `${name}, ${of(spread)} in ${spread.vnis.toLocaleString('en')} VNIs`, unit: 'ns', megrez: cold.own_ns },
    {
      name: 'lookup, growth without cache misses',
      unit: '×',
      megrez: [median(hot.own_ns) / median(small.own_ns)],
      target: { is: 'at most', value: 1.1 },
    },
    {
      name: 'lookup, growth with cache misses',
      unit: '×',
      megrez: [median(cold.own_ns) / median(small.own_ns)],
    },
  ];
}

interface At {
  readonly ifindex: number;
  readonly netns: string;
}

/** Median of runs of one packet each; `packet` makes it, `ready` brings the maps in order now and then. */
async function timeSingles(
  { signal }: Bench,
  program: BpfProgram,
  packet: (i: number) => Buffer,
  { ready = () => {}, at }: { readonly ready?: () => void; readonly at?: At } = {},
): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < singles; i += 1) {
    if (i % fresh === 0) {
      signal.throwIfAborted();
      await steadyWindow();
      ready();
    }
    const where = at === undefined ? {} : { ctx: { ifindex: at.ifindex }, netns: at.netns };
    times.push((await program.testRun({ data: packet(i), ...where })).duration_ns);
  }
  return median(times);
}

/** Fails when not all of the runs came to this verdict. */
async function counted<T>(
  object: BpfObject,
  program: ProgramWord,
  verdict: VerdictWord,
  work: () => Promise<T>,
): Promise<T> {
  const counts = () => verdictWords.map((word) => countOf(object, program, word));
  const before = counts();
  const result = await work();
  const came = counts().map((count, i) => ({ word: verdictWords[i], packets: count - (before[i] ?? 0) }));
  if (came.find(({ word }) => word === verdict)?.packets !== singles) {
    const seen = came.filter(({ packets }) => packets > 0).map(({ word, packets }) => `${packets} ${word}`);
    throw new Error(`${program}: all ${singles} packets should be ${verdict}, and were ${seen.join(', ')}`);
  }
  return result;
}

const payload = Buffer.alloc(64, 7);
const datagram = ethernet(
  macOf('a'),
  macOf('b'),
  ethertype.ip4,
  ip({ from: addresses.a, to: addresses.b, protocol: 17, payload: udp(1000, 2000, payload) }),
);
const arriving = (options?: Buffer, from: string = hosts.h1): Buffer =>
  tunnel({
    ...{ fromMac: hostMac('h1'), toMac: hostMac('h2'), from, to: hosts.h2, vni, inner: datagram },
    ...(options === undefined ? {} : { options }),
  });

/** Another asker each time: one and the same is told once in 10 ms. */
const asker = (i: number): string => `192.168.${i >> 8}.${i & 255}`;
const asking = (i: number): Buffer => {
  const host = asker(i + 256);
  return arriving(path({ op: op.ask, subnet, cookie: cookie(vni, addresses.b, now_ns()), host }), host);
};

/** A path's destination is asked to renew it so often, by default. */
const soft_lease_s = 5;

async function measureSingles(bench: Bench): Promise<readonly Figure[]> {
  const { dir, h1, h2, frame } = bench;
  const netns = join(dir, 'netns');
  await createNetns(netns);
  try {
    const { ifindex } = await createVeth({ name: 'nic', netns, peer: { name: 'wire', netns } });
    await setLink({ name: 'nic', netns, up: true });
    await setLink({ name: 'wire', netns, up: true });
    const at = { ifindex, netns };
    const figures = { floor: [], endpoint: [], nic: [], told: [] } as Record<
      'floor' | 'endpoint' | 'nic' | 'told',
      number[]
    >;
    const known = { about: 'b', host: 'h2', state: 1, told_ms_ago: 0 } as const;
    put(h1, hostRows('h1', ['h3'], endpoints));
    put(h2, [...hostRows('h2', ['h3'], endpoints, { nic: ifindex }), ...planUnderlay(['192.168.0.0/16'])]);
    for (let round = 0; round < rounds; round += 1) {
      figures.floor.push(await timeSingles(bench, frame.program('floor_tc'), () => arriving()));
      const ready = () => put(h1, [pathRow(known), hostRow('h2', { heard_ms_ago: 0 })]);
      const sent = () => timeSingles(bench, h1.program('endpoint'), () => datagram, { ready });
      figures.endpoint.push(await counted(h1, 'endpoint', 'direct', sent));
      const delivered = () => timeSingles(bench, h2.program('nic'), () => arriving(), { at });
      figures.nic.push(await counted(h2, 'nic', 'delivered', delivered));
      const told = () => timeSingles(bench, h2.program('nic'), asking, { at });
      figures.told.push(await counted(h2, 'nic', 'delivered_told', told));
    }
    const beyond = (values: readonly number[], floor: readonly number[]) =>
      values.map((value, i) => value - (floor[i] ?? 0));
    const notice_ns = beyond(figures.told, figures.nic);
    return [
      { name: 'parse and return (tc), one packet a run', unit: 'ns', megrez: figures.floor },
      {
        name: 'endpoint, data on a known path, beyond that',
        unit: 'ns',
        megrez: beyond(figures.endpoint, figures.floor),
      },
      { name: 'nic, data → endpoint, beyond that', unit: 'ns', megrez: beyond(figures.nic, figures.floor) },
      { name: 'TELL notice, beyond its packet', unit: 'ns', megrez: notice_ns },
      {
        name: `TELL notices of a stream, one in ${soft_lease_s} s: of a CPU's time`,
        unit: 'ppm',
        megrez: notice_ns.map((ns) => (ns / 1e9 / soft_lease_s) * 1e6),
        // One per cent.
        target: { is: 'at most', value: 10_000 },
      },
    ];
  } finally {
    await deleteNetns(netns);
  }
}

export async function measurePrograms(
  dir: string,
  root: string,
  mappings: number,
  signal: AbortSignal,
): Promise<readonly Figure[]> {
  const bpffs = join(dir, 'bpf');
  mkdirSync(bpffs, { recursive: true });
  await mountBpffs(bpffs);
  const open: BpfObject[] = [];
  try {
    const machine = (await run(['gcc', '-dumpmachine'], signal)).trim();
    const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', `-I/usr/include/${machine}`];
    const source = join(root, 'test/bench/native/programs.bpf.c');
    const compiled = join(dir, 'programs.o');
    await run(['clang', ...flags, `-DLENGTH=${question().length}`, '-c', source, '-o', compiled], signal);
    const frame = await loadObject(compiled, { pinDir: join(bpffs, 'maps') });
    open.push(frame);
    const host = async () => {
      const object = await loadObject(join(root, 'dist/bpf/megrez.bpf.o'));
      open.push(object);
      return object;
    };
    const [h1, h2, h3] = [await host(), await host(), await host()];
    frame.program('floor_xdp').pin(join(bpffs, 'floor_xdp'));
    h3.program('bouncer').pin(join(bpffs, 'bouncer'));
    const bench = { dir, bpffs, h1, h2, h3, frame, signal };
    return [...(await measureLookups(bench, mappings)), ...(await measureSingles(bench))];
  } finally {
    for (const object of open) object.close();
    await unmount(bpffs);
  }
}
