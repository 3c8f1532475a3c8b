/** Differential testing: generated worlds through the real programs and through the model. */
import { compare } from './compare';
import { fuzzConfig, worldOf } from './generate';
import { startMachine } from './machine';
import { type Failure, shrink } from './shrink';
import { rebased, type World } from './world';

export interface Options {
  /** The BPF object. */
  readonly object: string;
  readonly seed: number;
  /** Packets; the last batch is finished. */
  readonly cases: number;
  /** Ends earlier than `cases` then. */
  readonly seconds: number;
  /** Index of the first world: to look at one of an earlier run. */
  readonly from?: number;
  /** Different failures to look for before giving up. */
  readonly failures?: number;
  /** Failures are not made small: that they are there is enough. */
  readonly whole?: boolean;
  readonly progress?: (report: Report) => void;
}

export interface Report {
  readonly cases: number;
  readonly worlds: number;
  readonly seconds: number;
  /** Worlds in which the clock ticked under a packet so that nothing could be said. */
  readonly undecided: number;
  /** Packets by `program/verdict`. */
  readonly verdicts: ReadonlyMap<string, number>;
  readonly failures: readonly (Failure & { readonly world_index: number })[];
  /** Failures that did not come again when their world was run alone. */
  readonly lost: readonly string[];
  /** What a marked object's branches left, by mark. */
  readonly marks: Buffer | undefined;
}

const batch = 48;
const underWay = 3;

export const fuzz = async (options: Options): Promise<Report> => {
  const machine = await startMachine(options.object);
  const started = performance.now();
  const verdicts = new Map<string, number>();
  const failures: (Failure & { world_index: number })[] = [];
  const kinds = new Set<string>();
  const lost: string[] = [];
  let marks: Buffer | undefined;
  let [cases, worlds, undecided] = [0, 0, 0];
  const report = (): Report => ({
    cases,
    worlds,
    undecided,
    verdicts,
    failures,
    lost,
    marks,
    seconds: (performance.now() - started) / 1000,
  });

  let next = options.from ?? 0;
  const make = (): { first: number; worlds: readonly World[]; results: ReturnType<typeof machine.run> } => {
    const first = next;
    const now = process.hrtime.bigint();
    const made = Array.from({ length: batch }, (_, at) => {
      const world = worldOf(options.seed, first + at, now);
      return rebased(world, fuzzConfig(world), now);
    });
    next += batch;
    return { first, worlds: made, results: machine.run(made) };
  };

  try {
    const queue: ReturnType<typeof make>[] = [];
    const wanted = options.failures ?? 1;
    while (
      cases < options.cases &&
      report().seconds < options.seconds &&
      failures.length + (options.whole ? lost.length : 0) < wanted
    ) {
      while (queue.length < underWay) queue.push(make());
      const { first, worlds: made, results } = queue.shift() as ReturnType<typeof make>;
      for (const [at, result] of (await results).entries()) {
        const world = made[at] as World;
        const compared = compare(world, result);
        cases += compared.verdicts.length;
        worlds++;
        for (const name of compared.verdicts) verdicts.set(name, (verdicts.get(name) ?? 0) + 1);
        if (compared.undecided) undecided++;
        else if (compared.difference && !kinds.has(compared.difference.kind)) {
          kinds.add(compared.difference.kind);
          const small = options.whole
            ? undefined
            : await shrink(machine, { world, result, kind: compared.difference.kind });
          if (small) failures.push({ ...small, world_index: first + at });
          else lost.push(`world ${first + at}: ${compared.difference.kind}`);
        }
      }
      options.progress?.(report());
    }
    await Promise.all(queue.map(({ results }) => results));
    marks = await machine.marks();
    return report();
  } finally {
    machine.close();
  }
};
