import { MegrezError, type Slot, type SlotTable } from '@megrez/model';
import { type PlaceHost, place, slotCount } from '@megrez/ring';
import { type KeyCompare, keys } from '@megrez/store';
import type { Context } from '../context';
import { isAttached } from '../relay/attachment';

/** All hosts as placement looks at them: those that are detached or set ineligible may not own slots. */
export const placeHosts = (context: Context): PlaceHost[] =>
  [...context.mirror.hosts.values()].map(({ value }) => ({
    name: value.name,
    address: value.address,
    weight: value.weight,
    zone: value.zone,
    eligible: !value.ineligible && isAttached(context, value.name),
  }));

/** The owners of a new table are still the hosts they were. */
export const ownersUnchanged = ({ mirror }: Context, { owners }: SlotTable): KeyCompare[] =>
  owners.map(({ host }) => ({
    kind: 'revision',
    key: keys.host(host),
    revision: mirror.hosts.get(host)?.revision ?? 0,
  }));

export interface DividersOptions {
  readonly vni: number;
  /** What errors are about. */
  readonly object: string;
  /** How many hosts; 0 asks for the default. */
  readonly dividers: number;
  readonly table?: SlotTable;
}

/**
 * The table of a VPC's dividers.
 * @throws MegrezError FAILED_PRECONDITION / NO_ELIGIBLE_HOST, TOO_MANY_DIVIDERS
 */
export const placeDividers = (context: Context, { dividers, ...options }: DividersOptions): SlotTable => {
  const hosts = placeHosts(context);
  const eligible = hosts.filter((host) => host.eligible).length;
  if (dividers > eligible && eligible > 0) {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'TOO_MANY_DIVIDERS',
      object: options.object,
      message: `${dividers} dividers need ${dividers} hosts that may own slots, and there are ${eligible}`,
    });
  }
  return place({ ...options, subnet: 0, hosts, bouncers: dividers, pinned: [] });
};

/** Of a VPC that is made before there is a host for it: the first subnet brings the owners. */
export const unplacedDividers = (vni: number): SlotTable => ({
  vni,
  subnet: 0,
  epoch: 1,
  owners: [],
  slots: Array.from({ length: slotCount }, (): Slot => ({ holders: [] })),
  generation: 0,
});

/** Whether the cluster has a host that may own slots. */
export const canPlace = (context: Context): boolean => placeHosts(context).some(({ eligible }) => eligible);

/** They are compared in one txn with a subnet's own owners, and etcd takes 128 comparisons. The leader brings the others. */
const first_dividers = 32;

/** With fewer hosts than were wished for, as many as there are: a VPC without a divider reaches nothing. */
export const placeFirstDividers = (context: Context, options: DividersOptions): SlotTable => {
  const eligible = placeHosts(context).filter((host) => host.eligible).length;
  return placeDividers(context, { ...options, dividers: Math.min(options.dividers, eligible, first_dividers) });
};
