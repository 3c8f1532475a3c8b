import { limits, type SlotTable } from '@megrez/model';
import type { Context } from '../context';
import { lateError, waitHosts } from '../relay/readiness';
import type { Call } from '../server/rpc';

/** Every owner host that tables name, those included that only pass queries on. */
export const ownerHosts = (...tables: readonly (SlotTable | undefined)[]): readonly string[] => [
  ...new Set(tables.flatMap((table) => table?.owners.map(({ host }) => host) ?? [])),
];

export interface OwnersOptions {
  /** What errors are about. */
  readonly object: string;
  readonly hosts: readonly string[];
  readonly revision: number;
  readonly call: Call;
  /** What is true already, e.g. `is stored`. */
  readonly what: string;
}

/**
 * Waits until the attached of some hosts have a revision.
 * @throws MegrezError DEADLINE_EXCEEDED / HOSTS_NOT_READY naming those that have not
 */
export const confirmOwners = async (
  context: Context,
  { object, hosts, revision, call, what }: OwnersOptions,
): Promise<void> => {
  const started = performance.now();
  const deadline_ms = Math.min(call.deadline_ms, started + limits.timeout_ms.default);
  const { late } = await waitHosts(context, { hosts, required: new Set(), revision, deadline_ms });
  if (late.length > 0) throw lateError(object, late, deadline_ms - started, what);
};
