import { type Host, MegrezError, objectName, type Subnet, type Vpc } from '@megrez/model';
import { keys } from '@megrez/store';
import type { Context } from '../context';
import { type Stored, subnetKey, type TableView, tableView } from '../mirror';

/** A subnet with everything that a create inside it depends on. */
export interface SubnetView {
  readonly vpc: Stored<Vpc>;
  readonly subnet: Stored<Subnet>;
  readonly table: TableView;
}

export const vpcNotFound = (vpc: string): MegrezError =>
  new MegrezError({
    code: 'NOT_FOUND',
    reason: 'VPC_NOT_FOUND',
    object: objectName.vpc(vpc),
    message: `vpc ${vpc} does not exist`,
  });

export const subnetNotFound = (vpc: string, subnet: string): MegrezError =>
  new MegrezError({
    code: 'NOT_FOUND',
    reason: 'SUBNET_NOT_FOUND',
    object: objectName.subnet(vpc, subnet),
    message: `subnet ${vpc}/${subnet} does not exist`,
  });

export const deletingError = (object: string, what: string): MegrezError =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'BEING_DELETED',
    object,
    message: `${what} is being deleted; nothing new can come into it`,
  });

/** From the mirror, or from the store when the mirror does not have it (yet) or is known to be stale. */
export const findSubnet = async (context: Context, vpc: string, name: string, fresh = false): Promise<SubnetView> => {
  const { mirror, store } = context;
  if (!fresh) {
    const known = mirror.subnetsByName.get(`${vpc}/${name}`);
    const owner = mirror.vpcs.get(vpc);
    const table = known && mirror.tables.get(subnetKey(known.value.vni, known.value.number));
    if (known !== undefined && owner !== undefined && table !== undefined) return { vpc: owner, subnet: known, table };
  }
  const owner = await findVpc(context, vpc, true);
  const index = await store.get(keys.subnetName(owner.value.vni, name));
  if (index === undefined) throw subnetNotFound(vpc, name);
  const { vni, number } = index.value;
  const [subnet, table] = await Promise.all([store.get(keys.subnet(vni, number)), store.get(keys.slots(vni, number))]);
  if (subnet === undefined || table === undefined) throw subnetNotFound(vpc, name);
  return { vpc: owner, subnet, table: tableView(table.value, table.revision) };
};

export const findVpc = async ({ mirror, store }: Context, name: string, fresh = false): Promise<Stored<Vpc>> => {
  const vpc = (fresh ? undefined : mirror.vpcs.get(name)) ?? (await store.get(keys.vpc(name)));
  if (vpc === undefined) throw vpcNotFound(name);
  return vpc;
};

export const findHost = async ({ mirror, store }: Context, name: string, fresh = false): Promise<Stored<Host>> => {
  const host = (fresh ? undefined : mirror.hosts.get(name)) ?? (await store.get(keys.host(name)));
  if (host === undefined) {
    throw new MegrezError({
      code: 'NOT_FOUND',
      reason: 'HOST_NOT_FOUND',
      object: objectName.host(name),
      message: `host ${name} does not exist: no agent of that name has ever connected`,
    });
  }
  return host;
};

/** As the API shows objects: the generation filled in from the key's mod_revision. */
export const shown = <T extends { meta?: Vpc['meta'] }>({ value, revision }: Stored<T>): T => ({
  ...value,
  meta: { requestId: '', createdAtMs: 0, deleting: false, ...value.meta, generation: revision },
});

export const newMeta = (requestId: string): NonNullable<Vpc['meta']> => ({
  generation: 0,
  requestId,
  createdAtMs: Date.now(),
  deleting: false,
});

/**
 * Lets the mirror catch up with what a caller may have seen through another controller. Bounded: an etcd that is shared
 * has revisions that never come here.
 */
export const catchUp = async ({ mirror }: Context, revision: number, timeout_ms = 500): Promise<void> => {
  const end = performance.now() + timeout_ms;
  while (mirror.revision < revision && performance.now() < end) await mirror.changed.next(end - performance.now());
};
