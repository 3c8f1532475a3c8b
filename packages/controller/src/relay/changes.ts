import {
  addressFromHex,
  type Change,
  Endpoint,
  formatAddress,
  Service,
  type SlotTable,
  type Subnet,
  type Vpc,
} from '@megrez/model';
import type { Stored } from '../mirror';

/** Changes as agents get them: objects carry their own generation too, so that nobody has to look at two places. */
export const vpcChange = ({ value, revision }: Stored<Vpc>, deleted = false): Change =>
  make({ oneofKind: 'vpc', vpc: { ...value, meta: meta(value, revision) } }, revision, deleted);

export const subnetChange = ({ value, revision }: Stored<Subnet>, deleted = false): Change =>
  make({ oneofKind: 'subnet', subnet: { ...value, meta: meta(value, revision) } }, revision, deleted);

export const tableChange = ({ value, revision }: Stored<SlotTable>, deleted = false): Change =>
  make({ oneofKind: 'table', table: { ...value, generation: revision } }, revision, deleted);

export const endpointChange = ({ value, revision }: Stored<Endpoint>): Change =>
  make({ oneofKind: 'endpoint', endpoint: { ...value, meta: meta(value, revision) } }, revision, false);

/**
 * `ip` is the 32 hex digits of the key. Of an endpoint that is not gone but `moved`, the host that it left is told where
 * it is now, to pass on what still comes for it.
 */
export const endpointDeletion = (
  {
    vni,
    subnet,
    slot,
    ip,
    revision,
  }: {
    readonly vni: number;
    readonly subnet: number;
    readonly slot: number;
    readonly ip: string;
    readonly revision: number;
  },
  moved?: Pick<Endpoint, 'host' | 'hostAddress'>,
): Change => {
  const endpoint = Endpoint.create({
    vni,
    subnetNumber: subnet,
    slot,
    ip: formatAddress(addressFromHex(ip)),
    host: moved?.host ?? '',
    hostAddress: moved?.hostAddress ?? '',
  });
  return make({ oneofKind: 'endpoint', endpoint }, revision, true);
};

export const serviceChange = ({ value, revision }: Stored<Service>): Change =>
  make({ oneofKind: 'service', service: { ...value, meta: meta(value, revision) } }, revision, false);

export const serviceDeletion = (vni: number, subnetNumber: number, name: string, revision: number): Change =>
  make({ oneofKind: 'service', service: Service.create({ vni, subnetNumber, name }) }, revision, true);

const make = (object: Change['object'], generation: number, deleted: boolean): Change => ({
  generation,
  deleted,
  object,
});

const meta = (value: Pick<Vpc, 'meta'>, revision: number): Vpc['meta'] => ({
  requestId: '',
  createdAtMs: 0,
  deleting: false,
  ...value.meta,
  generation: revision,
});
