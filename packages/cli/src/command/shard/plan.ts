import type { PlanRebalanceResponse, SlotMove } from '@megrez/model';
import type { Command } from 'commander';
import type { Io } from '../../io';
import { isData, printData } from '../../output';
import { formatRanges } from '../../ranges';
import { scopeOf } from '../../scope';
import { patience, withSession } from '../../session';
import { type Column, formatTable } from '../../table';

export const shardPlan = (parent: Command, io: Io): void => {
  parent
    .command('plan')
    .description('what a rebalance would move, and why; changes nothing')
    .argument('[vpc[/subnet]]')
    .addHelpText('after', '\nExample:\n  megrez shard plan acme')
    .action((path: string | undefined, _flags: unknown, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { response } = await client.shard.planRebalance(scopeOf(path, model));
          if (isData(format)) {
            await printData(io, format, model.PlanRebalanceResponse.toJson(response, { emitDefaultValues: true }));
          } else io.stdout(formatPlan(response, format === 'wide'));
        },
        patience.write_ms,
      ),
    );
};

interface Group {
  readonly first: SlotMove;
  readonly slots: readonly number[];
}

const columns: readonly Column<Group>[] = [
  { header: 'VPC', value: ({ first }) => first.vpc },
  { header: 'SUBNET', value: ({ first }) => first.subnet || '(dividers)' },
  { header: 'FROM', value: ({ first }) => first.from },
  { header: 'TO', value: ({ first }) => first.to },
  { header: 'SLOTS', value: ({ slots }) => slots.length },
  { header: 'WHY', value: ({ first }) => first.why },
  { header: 'WHICH', value: ({ slots }) => formatRanges(slots), wide: true },
];

/** Moves of one table between the same hosts for the same reason are a line. */
const grouped = (moves: readonly SlotMove[]): readonly Group[] => {
  const groups = Map.groupBy(moves, ({ vpc, subnet, from, to, why }) => JSON.stringify([vpc, subnet, from, to, why]));
  return [...groups.values()].map((group) => ({
    first: group[0] as SlotMove,
    slots: group.map(({ slot }) => slot),
  }));
};

export const formatPlan = ({ moves, entries, problems }: PlanRebalanceResponse, wide = false): string => {
  const table = moves.length === 0 ? '' : `${formatTable(columns, grouped(moves), wide)}\n`;
  const sum = moves.length === 0 ? 'nothing to move' : `${moves.length} slots would move, ${entries} entries with them`;
  return `${table}${sum}\n${problems.map((problem) => `  - ${problem}\n`).join('')}`;
};
