/** `npm run fuzz`: see `usage`. */
import { parseArgs } from 'node:util';
import { buildMarked, coverageOf, type Marked } from './coverage';
import { fuzz, type Report } from './fuzz';
import { tryMutants } from './mutants';
import { objectPath } from './paths';
import { printFailure } from './print';

const usage = `usage: npm run fuzz -- [--cases N] [--seed S] [--seconds T] [--from WORLD] [--failures N] [--object FILE | --coverage | --mutants]

Generated packets go through the real programs and through the model (test/datapath/model). Stops after N different
failures (default 1), each made small and printed as a packet-table row. --coverage runs a copy of the programs with marks,
and says what it did not reach; --mutants programs with one fault each, which must be found.`;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '1e9' },
    from: { type: 'string', default: '0' },
    failures: { type: 'string', default: '1' },
    object: { type: 'string', default: objectPath },
    coverage: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const number = (name: 'cases' | 'seed' | 'seconds' | 'from' | 'failures'): number => {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value < 0) {
    process.stderr.write(`--${name} ${values[name]} is no number from 0\n${usage}\n`);
    process.exit(2);
  }
  return value;
};
if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}

const seed = number('seed');
if (values.mutants) {
  let missed = 0;
  await tryMutants({ seed, cases: number('cases') }, ({ name, found }) => {
    if (found === undefined) missed++;
    process.stdout.write(`${found === undefined ? 'NOT FOUND' : `found within ${found}`}: ${name}\n`);
  });
  process.exit(missed > 0 ? 1 : 0);
}
let printed = 0;
const progress = ({ cases, seconds }: Report): void => {
  if (seconds - printed < 10) return;
  printed = seconds;
  process.stderr.write(`  ${cases} cases, ${Math.round(cases / seconds)} a second\n`);
};

const options = {
  seed,
  cases: number('cases'),
  seconds: number('seconds'),
  from: number('from'),
  failures: number('failures'),
  progress,
};

/** Every part of the marks gets all cases. */
const cover = async ({ objects, marks, unmarked }: Marked): Promise<Report> => {
  const seen = Buffer.alloc(marks.length + unmarked.length);
  let last: Report | undefined;
  for (const object of objects) {
    printed = 0;
    last = await fuzz({ ...options, object });
    for (const [at, mark] of (last.marks ?? []).entries()) if (mark && at < seen.length) seen[at] = 1;
  }
  const { statements, branches, missed } = coverageOf(marks, seen);
  const reasons = new Map<string, number>();
  for (const { file, line, kind, what, excuse } of missed) {
    if (excuse === undefined) process.stdout.write(`not reached: ${file}:${line} ${kind} ${what}\n`);
    else reasons.set(excuse, (reasons.get(excuse) ?? 0) + 1);
  }
  for (const [reason, count] of reasons) process.stdout.write(`not reached, ${count}: ${reason}\n`);
  const share = ([reached, all]: readonly [number, number], kind: string): string => {
    const can = all - missed.filter((one) => one.kind === kind && one.excuse !== undefined).length;
    const percent = (of: number): string => ((100 * reached) / of).toFixed(1);
    return `${reached} of ${all} (${percent(all)} %; of the ${can} that packets can reach ${percent(can)} %)`;
  };
  process.stdout.write(
    `coverage of bpf/: statements ${share(statements, 'statement')}, branches ${share(branches, 'branch')}; ` +
      `${unmarked.length} not measured\n`,
  );
  return last as Report;
};

const report = values.coverage ? await cover(buildMarked()) : await fuzz({ ...options, object: values.object });

const { cases, seconds, worlds, undecided, verdicts, failures, lost } = report;
for (const failure of failures)
  process.stdout.write(`${printFailure(failure, `seed ${seed}, world ${failure.world_index}`)}\n\n`);
for (const one of lost) process.stdout.write(`did not come again: ${one}\n`);
for (const [name, count] of [...verdicts].sort(([a], [b]) => a.localeCompare(b)))
  process.stdout.write(`${String(count).padStart(10)} ${name}\n`);
process.stdout.write(
  `seed ${seed}: ${cases} cases in ${worlds} worlds, ${Math.round(cases / seconds)} a second, ${verdicts.size} verdicts, ` +
    `${undecided} worlds undecided, ${failures.length} failures\n`,
);
process.exitCode = failures.length + lost.length > 0 ? 1 : 0;
