import { MegrezError, objectName, type Subnet, type Vpc } from '@megrez/model';
import type { Context } from '../context';
import type { Mirror, TableView } from '../mirror';
import { findSubnet, findVpc } from '../provisioning/lookup';
import { isAttached } from '../relay/attachment';
import type { FleetHost, Wish } from './plan';

/** All hosts as planning looks at them. */
export const fleetOf = (context: Context, dead: ReadonlySet<string> = new Set()): ReadonlyMap<string, FleetHost> =>
  new Map(
    [...context.mirror.hosts.values()].map(({ value: { name, address, weight, zone, ineligible } }) => [
      name,
      {
        name,
        address,
        weight,
        zone,
        eligible: !ineligible && !dead.has(name),
        attached: isAttached(context, name),
        gone: ineligible ? 'is drained' : dead.has(name) ? 'is dead' : undefined,
      },
    ]),
  );

/** One table with what is wanted of it. */
export interface NamedTable {
  /** subnetKey */
  readonly key: string;
  readonly vpc: string;
  /** Empty for dividers. */
  readonly subnet: string;
  readonly view: TableView;
  readonly wish: Wish;
}

/** Undefined while the table's VPC or subnet is not known, or being deleted. */
export const namedTable = (mirror: Mirror, key: string): NamedTable | undefined => {
  const view = mirror.tables.get(key);
  const vpc = view && mirror.vpcsByVni.get(view.value.vni)?.value;
  if (view === undefined || vpc === undefined || isDeleting(vpc)) return undefined;
  if (view.value.subnet === 0) return { key, vpc: vpc.name, subnet: '', view, wish: wishOf(view, vpc.dividers, []) };
  const subnet = mirror.subnets.get(key)?.value;
  if (subnet === undefined || isDeleting(subnet)) return undefined;
  return { key, vpc: vpc.name, subnet: subnet.name, view, wish: wishOf(view, subnet.bouncers, subnet.bouncerHosts) };
};

const isDeleting = ({ meta }: Pick<Vpc | Subnet, 'meta'>): boolean => meta?.deleting === true;

/** 0 in stored objects is of before the number was stored: as many as there are. */
const wishOf = (view: TableView, bouncers: number, pinned: readonly string[]): Wish => ({
  bouncers: bouncers || Math.max(1, pinned.length, view.slotsOf.size),
  pinned,
});

export interface Scope {
  /** Empty: everything. */
  readonly vpc: string;
  /** Empty: the VPC's dividers and all its subnets. */
  readonly subnet: string;
}

/** @throws MegrezError NOT_FOUND / VPC_NOT_FOUND, SUBNET_NOT_FOUND; INVALID_ARGUMENT / NAME_MISSING */
export const checkScope = async (context: Context, { vpc, subnet }: Scope): Promise<void> => {
  if (vpc === '') {
    if (subnet === '') return;
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'NAME_MISSING',
      object: 'shards',
      message: `subnet ${subnet} of which vpc?`,
    });
  }
  if (subnet === '') await findVpc(context, vpc);
  else await findSubnet(context, vpc, subnet);
};

/** By VPC and subnet, dividers first. */
export const tablesIn = ({ mirror }: Context, scope: Scope): readonly NamedTable[] =>
  [...mirror.tables.keys()]
    .flatMap((key) => namedTable(mirror, key) ?? [])
    .filter(
      ({ vpc, subnet }) => scope.vpc === '' || (vpc === scope.vpc && (scope.subnet === '' || subnet === scope.subnet)),
    )
    .sort((a, b) => compare(a.vpc, b.vpc) || compare(a.subnet, b.subnet));

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const tableName = ({ vpc, subnet }: Pick<NamedTable, 'vpc' | 'subnet'>): string =>
  subnet === '' ? `dividers of ${objectName.vpc(vpc)}` : objectName.subnet(vpc, subnet);
