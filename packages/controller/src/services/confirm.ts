import { limits, MegrezError, objectName, type Service } from '@megrez/model';
import { keys } from '@megrez/store';
import type { Context } from '../context';
import { type Stored, tableView } from '../mirror';
import { lateError, waitHosts } from '../relay/readiness';
import type { Call } from '../server/rpc';

/** Hosts that hold slots of a service's subnet now: who came to hold one later has the service before it says so. */
const holdersOf = async ({ store }: Context, { vni, subnetNumber }: Service): Promise<readonly string[]> => {
  const table = await store.get(keys.slots(vni, subnetNumber));
  return table === undefined ? [] : [...tableView(table.value, table.revision).slotsOf.keys()];
};

/**
 * Waits until every attached holder of slots of the subnet has this revision of the service. What a host cannot have is an
 * answer too: the error that it is.
 * @throws MegrezError DEADLINE_EXCEEDED / HOSTS_NOT_READY naming the hosts
 */
export const confirmHolders = async (
  context: Context,
  { value, revision }: Stored<Service>,
  call: Call,
  what: string,
): Promise<MegrezError | undefined> => {
  const started = performance.now();
  const deadline_ms = Math.min(call.deadline_ms, started + limits.timeout_ms.default);
  const hosts = await holdersOf(context, value);
  const { late, failures } = await waitHosts(context, { hosts, required: new Set(), revision, deadline_ms });
  const object = objectName.service(value.vpc, value.subnet, value.name);
  const failure = failures.find(({ vni, ip }) => vni === value.vni && ip === value.ip);
  if (failure !== undefined) {
    return new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: failure.reason === '' ? 'HOST_REFUSED' : failure.reason,
      object,
      hosts: [failure.host],
      message: `host ${failure.host} cannot have ${object}: ${failure.message}`,
    });
  }
  if (late.length > 0) throw lateError(object, late, deadline_ms - started, what);
  return undefined;
};
