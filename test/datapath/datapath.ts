/** One host's programs, loaded for tests: rows made by plan() go in, packets go through BPF_PROG_TEST_RUN. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  counterIndex,
  decodePerCpu,
  maps,
  type ProgramWord,
  programWords,
  u32,
  type VerdictWord,
  verdictWords,
} from '@megrez/abi';
import { type BpfObject, loadObject } from '@megrez/kernel';
import type { Row } from '@megrez/plan';

export const objectPath = fileURLToPath(new URL('../../dist/bpf/megrez.bpf.o', import.meta.url));

export const actions = { endpoint: tcAction, nic: tcAction, bouncer: xdpAction, tunnel: tcAction } as const;

function tcAction(code: number): string {
  return { 4294967295: 'next', 2: 'drop', 7: 'redirect' }[code >>> 0] ?? `action ${code}`;
}

function xdpAction(code: number): string {
  return { 1: 'drop', 2: 'pass', 3: 'tx' }[code] ?? `action ${code}`;
}

export interface Outcome {
  readonly verdict: VerdictWord;
  readonly action: string;
  /** The packet afterwards. */
  readonly packet: Buffer;
}

export interface Datapath {
  readonly object: BpfObject;
  put(rows: readonly Row[]): void;
  get<M extends keyof typeof maps>(
    map: M,
    key: Parameters<(typeof maps)[M]['key']['encode']>[0],
  ): ReturnType<(typeof maps)[M]['value']['decode']> | undefined;
  run(
    program: ProgramWord,
    packet: Buffer,
    at?: { readonly ifindex: number; readonly netns: string },
  ): Promise<Outcome>;
  /** Packets by `program/verdict`, those that are not 0. */
  counts(): Record<string, number>;
  close(): void;
}

export const openDatapath = async (): Promise<Datapath> => {
  const object = await loadObject(objectPath, {
    maps: { paths: { maxEntries: 1024 }, notices: { maxEntries: 1024 }, young_flows: { maxEntries: 1024 } },
  });
  const counts = (): Record<string, number> => {
    const seen: Record<string, number> = {};
    for (const program of programWords)
      for (const verdict of verdictWords) {
        const value = object.map('counters').lookup(u32.encode(counterIndex(program, verdict)));
        const packets = decodePerCpu(maps.counters.value, value ?? Buffer.alloc(0)).reduce(
          (sum, cpu) => sum + Number(cpu.packets),
          0,
        );
        if (packets > 0) seen[`${program}/${verdict}`] = packets;
      }
    return seen;
  };
  return {
    object,
    counts,
    put(rows) {
      for (const { map, key, value } of rows) {
        const target = object.map(map);
        // A row of a per-CPU map is one CPU's.
        target.update(key, map === 'traffic' ? Buffer.concat(Array.from({ length: cpus }, () => value)) : value);
      }
    },
    get(map, key) {
      const codec = maps[map];
      const value = object.map(map).lookup((codec.key.encode as (key: unknown) => Buffer)(key));
      return value === undefined ? undefined : (codec.value.decode(value) as never);
    },
    async run(program, packet, at) {
      const before = counts();
      const result = await object.program(program).testRun({
        data: packet,
        ...(at === undefined ? {} : { ctx: { ifindex: at.ifindex }, netns: at.netns }),
      });
      const after = counts();
      const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
      if (changed.length !== 1) throw new Error(`one packet, but ${changed.length} verdicts: ${changed.join(' ')}`);
      const verdict = changed[0]?.split('/')[1] as VerdictWord;
      return { verdict, action: actions[program](result.retval), packet: result.data };
    },
    close: () => object.close(),
  };
};

/** Possible CPUs: per-CPU values have one part for each. */
const cpus = Number(readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split('-').at(-1)) + 1;
