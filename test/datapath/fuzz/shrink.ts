/** Makes a case that fails small: fewer packets, fewer rows, shorter and emptier packets, as long as it fails alike. */
import { type Comparison, compare, type Difference } from './compare';
import { fuzzConfig } from './generate';
import type { Machine, Result } from './machine';
import { rebased, type Shot, type World } from './world';

export interface Failure {
  readonly world: World;
  readonly difference: Difference;
  readonly result: Result;
}

/** Runs a world as if it had been made `delay` ns ago. */
const rerun = async (
  machine: Machine,
  world: World,
  delay: bigint,
): Promise<Comparison & { world: World; result: Result }> => {
  const now = rebased(world, fuzzConfig(world), process.hrtime.bigint() - delay);
  const result = (await machine.run([now]))[0] as Result;
  return { ...compare(now, result), world: now, result };
};

/** Arrays have no absent rows. */
const always = new Set<string>(['config', 'attached', 'last_heard']);

/** Undefined when the failure does not come again, in packets that come as late as in `result`. */
export const shrink = async (
  machine: Machine,
  { world, result: first, kind }: { world: World; result: Result; kind: string },
): Promise<Failure | undefined> => {
  const delay = BigInt(first.shown[0]?.before ?? 0) - world.made_at;
  let best: Failure | undefined;
  const fails = async (candidate: World): Promise<boolean> => {
    // The clock may tick under a packet: then it is tried once more.
    for (let attempt = 0; attempt < 2; attempt++) {
      const { difference, undecided, world: ran, result } = await rerun(machine, candidate, delay > 0n ? delay : 0n);
      if (undecided) continue;
      if (difference?.kind !== kind) return false;
      best = { world: ran, difference, result };
      return true;
    }
    return false;
  };
  if (!(await fails(world))) return undefined;
  const current = (): World => (best as Failure).world;
  await fewer(
    current,
    ({ shots }) => shots,
    (from, shots) => ({ ...from, shots }),
    fails,
  );
  const needed = (from: World): World['entries'] => from.entries.filter(({ map }) => always.has(map));
  await fewer(
    current,
    ({ entries }) => entries.filter(({ map }) => !always.has(map)),
    (from, entries) => ({ ...from, entries: [...needed(from), ...entries] }),
    fails,
  );
  for (let index = 0; index < current().shots.length; index++) await plainer(current, index, fails);
  return best;
};

/** Leaves out halves, quarters … of a list. */
const fewer = async <T>(
  current: () => World,
  read: (world: World) => readonly T[],
  write: (world: World, items: readonly T[]) => World,
  fails: (world: World) => Promise<boolean>,
): Promise<void> => {
  for (let size = Math.ceil(read(current()).length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < read(current()).length; ) {
      const items = read(current());
      const rest = [...items.slice(0, at), ...items.slice(at + size)];
      if (rest.length === items.length || !(await fails(write(current(), rest)))) at += size;
    }
  }
};

/** Cuts the packet's end, then sets bytes to zero. */
const plainer = async (
  current: () => World,
  index: number,
  fails: (world: World) => Promise<boolean>,
): Promise<void> => {
  const packet = (): Buffer => (current().shots[index] as Shot).packet;
  const as = (changed: Buffer): World => ({
    ...current(),
    shots: current().shots.map((shot, at) => (at === index ? { ...shot, packet: changed } : shot)),
  });
  for (let cut = packet().length >> 1; cut >= 1; cut >>= 1) {
    while (packet().length - cut >= 34 && (await fails(as(packet().subarray(0, packet().length - cut))))) {
      // As often as it goes.
    }
  }
  for (let at = 0; at < Math.min(packet().length, 200); at++) {
    if (packet()[at] === 0) continue;
    const copy = Buffer.from(packet());
    copy[at] = 0;
    await fails(as(copy));
  }
};
