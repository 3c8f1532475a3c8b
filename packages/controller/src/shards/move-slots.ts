import { MegrezError, type ShardJob, type SlotPlan } from '@megrez/model';
import { type NamedTable, tableName } from './fleet';
import { type FleetHost, planFor, wantedTarget } from './plan';

/** What a move by hand asks for; `from` empty means each slot's primary, no slots all that `from` holds. */
export type HandMove = Pick<ShardJob, 'slots' | 'from' | 'host' | 'id'>;

/**
 * The plan of slots that an operator moves by hand, whatever the balance.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_SLOT, SLOTS_MISSING; NOT_FOUND / HOST_NOT_FOUND;
 *   FAILED_PRECONDITION / HOST_INELIGIBLE, HOST_DETACHED, NOT_A_HOLDER, ALREADY_A_HOLDER, HOST_PINNED
 */
export const planHandMove = (
  { slots, from, host: to, id }: HandMove,
  named: NamedTable,
  plan: SlotPlan | undefined,
  hosts: ReadonlyMap<string, FleetHost>,
): SlotPlan => {
  const object = tableName(named);
  const refuse = (code: 'INVALID_ARGUMENT' | 'FAILED_PRECONDITION' | 'NOT_FOUND', reason: string, message: string) =>
    new MegrezError({ code, reason, object, message });
  const invalid = slots.find((slot) => slot > 255);
  if (invalid !== undefined) throw refuse('INVALID_ARGUMENT', 'INVALID_SLOT', `slots are 0 to 255, not ${invalid}`);
  if (slots.length === 0 && from === '') {
    throw refuse('INVALID_ARGUMENT', 'SLOTS_MISSING', 'name the slots to move, or the host whose slots move');
  }
  const host = hosts.get(to);
  if (host === undefined) throw refuse('NOT_FOUND', 'HOST_NOT_FOUND', `host ${to} does not exist`);
  if (!host.eligible)
    throw refuse('FAILED_PRECONDITION', 'HOST_INELIGIBLE', `host ${to} ${host.gone ?? 'is ineligible'}`);
  if (!host.attached)
    throw refuse('FAILED_PRECONDITION', 'HOST_DETACHED', `host ${to} is detached: nothing can be loaded there`);
  const table = named.view.value;
  const present = wantedTarget(table, plan);
  const chosen = new Set(
    slots.length > 0 ? slots : present.flatMap((holders, slot) => (holders.includes(from) ? [slot] : [])),
  );
  if (chosen.size === 0) throw refuse('FAILED_PRECONDITION', 'NOT_A_HOLDER', `${from} holds no slot of ${object}`);
  const target = present.map((holders, slot) => {
    if (!chosen.has(slot)) return holders;
    const leaves = from === '' ? holders[0] : from;
    if (leaves !== undefined && !holders.includes(leaves)) {
      throw refuse(
        'FAILED_PRECONDITION',
        'NOT_A_HOLDER',
        `slot ${slot} is at ${holders.join(' and ')}, not at ${leaves}`,
      );
    }
    if (holders.includes(to) && holders.length > 1 && leaves !== to) {
      throw refuse(
        'FAILED_PRECONDITION',
        'ALREADY_A_HOLDER',
        `${to} holds slot ${slot} already, and must not hold it twice`,
      );
    }
    return holders.length === 0 ? [to] : holders.map((holder) => (holder === leaves ? to : holder));
  });
  const why = 'moved by hand';
  return planFor({ table, wish: named.wish, why, job: id }, target, (name) => hosts.get(name)?.address ?? '');
};
