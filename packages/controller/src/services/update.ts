import {
  checkAffinity,
  familyOf,
  objectName,
  parseAddress,
  type Service,
  type UpdateServiceRequest,
  validateUpdateService,
} from '@megrez/model';
import type { Context } from '../context';
import { findVpc } from '../provisioning/lookup';
import { contended } from '../provisioning/vpc';
import type { Call } from '../server/rpc';
import { bucketsOf, findBackends } from './backends';
import { confirmHolders } from './confirm';
import { findService, shownService } from './find';
import { checkTime } from './time';
import { replacement } from './write';

const attempts = 100;

/**
 * Ports and backends become what the request says. Who stays a backend keeps its flows, but for the least that weights ask
 * for; new flows go to who is named from the moment that the call returns.
 */
export const updateService = async (context: Context, request: UpdateServiceRequest, call: Call): Promise<Service> => {
  const { store, metrics } = context;
  const fields = validateUpdateService(request);
  const object = objectName.service(request.vpc, request.subnet, request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    checkTime(context, object, call, 'nothing was changed');
    const entry = await findService(context, request);
    const before = entry.value;
    const vpc = await findVpc(context, request.vpc, true);
    const { backends, compares } = await findBackends(context, {
      object,
      vpc: vpc.value,
      family: familyOf(parseAddress(before.ip)),
      wanted: fields.backends,
      present: before.backends,
    });
    const after: Service = {
      ...before,
      ports: [...fields.ports],
      backends: [...backends],
      affinity: request.affinity || before.affinity,
      affinityTimeoutMs: request.affinityTimeoutMs ?? before.affinityTimeoutMs,
      drainMs: request.drainMs ?? before.drainMs,
      refusal: request.refusal || before.refusal,
      buckets: bucketsOf(backends, before.buckets),
    };
    checkAffinity(object, after);
    const change = replacement(entry, after, compares);
    const result = await store.txn(change.compares, change.operations);
    if (!result.succeeded) {
      metrics.retries.inc();
      continue;
    }
    const stored = { value: after, revision: result.revision };
    const refusal = await confirmHolders(context, stored, call, 'is changed');
    if (refusal !== undefined) throw refusal;
    return shownService(stored);
  }
  throw contended(object);
};
