// `npm run chaos -- --seed N --minutes M [--rounds R]`: prints the timeline and the account; the same seed does the same again.
import { parseArgs } from 'node:util';
import { chaos, type Report } from './run';

const usage = 'usage: npm run chaos -- [--seed N] [--minutes M] [--rounds R]\n';

function options() {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, minutes: { type: 'string' }, rounds: { type: 'string' } },
  });
  const number = (text: string | undefined, otherwise: number) => (text === undefined ? otherwise : Number(text));
  const seed = number(values.seed, Date.now() % 1_000_000);
  const minutes = number(values.minutes, 5);
  const rounds = number(values.rounds, 1_000_000);
  if (!Number.isSafeInteger(seed) || seed < 0 || !(minutes > 0) || !(rounds > 0)) {
    throw new TypeError('a seed is a whole number from 0, minutes and rounds are above 0');
  }
  return { seed, minutes, rounds };
}

const print = (line: string) => process.stdout.write(`${line}\n`);

function printAccount({ rounds, traffic: { account, pings, streams }, moved, excused, faults }: Report): void {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  print(`\n${rounds} rounds`);
  for (const [what, seen] of [
    ['between endpoints', account],
    ['to moving endpoints', moved],
  ] as const) {
    const { sent, lost, duplicated, reordered, misdelivered } = seen;
    print(
      `datagrams ${what}: ${sent} sent, ${lost} lost, ${duplicated} duplicated, ${reordered} reordered, ${misdelivered} misdelivered`,
    );
  }
  print(`  of those lost, ${excused} were lookups by which a host found out that an owner was gone`);
  print(`echoes: ${account.echoes.sent} sent, ${account.echoes.lost} lost`);
  print(`pings: ${sum(pings.map(({ sent }) => sent))} sent, ${sum(pings.map(({ received }) => received))} answered`);
  print(
    `TCP: ${sum(streams.map(({ sent }) => sent))} bytes sent, ${sum(streams.map(({ received }) => received))} received`,
  );
  for (const line of faults) {
    print(`WRONG ${line}`);
  }
}

async function main(): Promise<number> {
  let wanted: ReturnType<typeof options>;
  try {
    wanted = options();
  } catch (error) {
    process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  const { seed, minutes, rounds } = wanted;
  const interrupt = new AbortController();
  // The round under way ends before everything is taken down.
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => interrupt.abort());
  }
  print(`seed ${seed}`);
  let report: Report;
  try {
    report = await chaos({ seed, duration_ms: minutes * 60_000, rounds, say: print, signal: interrupt.signal });
  } catch (error) {
    if (!interrupt.signal.aborted) {
      throw error;
    }
    process.stderr.write('interrupted; nothing is left\n');
    return 130;
  }
  printAccount(report);
  print(
    report.faults.length === 0 ? 'All whole.' : `Again with: npm run chaos -- --seed ${seed} --rounds ${report.rounds}`,
  );
  return report.faults.length === 0 ? 0 : 1;
}

process.exitCode = await main();
