import type { Endpoint, HeldAddress } from '@megrez/model';
import { type Compare, keys, type Operation } from '@megrez/store';
import type { Context } from '../context';
import { type Stored, subnetKey, type TableView, tableView } from '../mirror';
import { waitHosts } from '../relay/readiness';
import { leaveServices } from '../services';
import { hostsOf, keysOf, placesOf } from './endpoint-draft';
import { releaseHeld } from './held';

const attempts = 20;

export type Removal =
  /** Every host has forgotten the endpoint and its address is free. */
  | { readonly kind: 'done' }
  /** Removed; these hosts have not confirmed, so the address is held. */
  | { readonly kind: 'late'; readonly hosts: readonly string[] }
  /** Somebody else removed or changed it first. */
  | { readonly kind: 'changed' };

/**
 * Removes exactly this revision of an endpoint, which first leaves the services whose backend it is, and waits until the
 * hosts that knew it have forgotten it.
 */
export const removeEndpoint = async (
  context: Context,
  endpoint: Stored<Endpoint>,
  deadline_ms: number,
): Promise<Removal> => {
  const { store, mirror } = context;
  const { vni, subnetNumber } = endpoint.value;
  let table = mirror.tables.get(subnetKey(vni, subnetNumber));
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { compares, operations, held } = removal(endpoint, table);
    const result = await store.txn(compares, operations);
    if (result.succeeded) return forget(context, [{ value: held, revision: result.revision }], deadline_ms);
    const own = keysOf(endpoint.value).endpoint.path;
    if (result.failed.some(({ compare }) => compare.kind !== 'empty' && compare.key.path === own)) {
      return { kind: 'changed' };
    }
    if (result.failed.some(({ compare }) => compare.kind === 'empty')) {
      await leaveServices(context, endpoint.value, { deadline_ms });
    }
    const entry = await store.get(keys.slots(vni, subnetNumber));
    table = entry && tableView(entry.value, entry.revision);
  }
  return { kind: 'changed' };
};

export const removal = (
  { value, revision }: Stored<Endpoint>,
  table: TableView | undefined,
): { compares: Compare[]; operations: Operation[]; held: HeldAddress } => {
  const own = keysOf(value);
  const tableKey = keys.slots(value.vni, value.subnetNumber);
  const hosts = table === undefined ? placesOf(value) : hostsOf(value, { table });
  const held: HeldAddress = { endpoint: value, hosts: [...hosts], revision: 0 };
  return {
    held,
    compares: [
      { kind: 'revision', key: own.endpoint, revision },
      ...own.backends.map((prefix) => ({ kind: 'empty', prefix }) as const),
      table === undefined
        ? { kind: 'absent', key: tableKey }
        : { kind: 'revision', key: tableKey, revision: table.revision },
    ],
    operations: [
      ...[...own.slots, ...own.byHosts, own.name].map((key) => ({ kind: 'remove', key }) as const),
      ...(own.mac === undefined ? [] : [{ kind: 'remove', key: own.mac } as const]),
      // A removal of what is not there is an operation too, and a cascade's txns are full.
      ...(own.byHosts.length > 1 ? [{ kind: 'remove', key: own.move } as const] : []),
      ...own.held.map((key) => ({ kind: 'put', key, value: held }) as const),
    ],
  };
};

/** Waits for the hosts that held the addresses and frees those that every host has forgotten. */
export const forget = async (
  context: Context,
  held: readonly Stored<HeldAddress>[],
  deadline_ms: number,
): Promise<Removal> => {
  const late = new Set<string>();
  await Promise.all(
    held.map(async (address) => {
      const { hosts } = address.value;
      // Who is about to be found detached is waited for until it is certain, and no longer.
      const waited = await waitHosts(context, {
        hosts: hosts.filter((host) => context.mirror.hosts.has(host)),
        required: new Set(),
        revision: address.revision,
        deadline_ms,
      });
      const missing = [...waited.detached, ...waited.late];
      for (const host of missing) late.add(host);
      if (missing.length === 0) await releaseHeld(context, address);
    }),
  );
  return late.size === 0 ? { kind: 'done' } : { kind: 'late', hosts: [...late].sort() };
};
