import {
  type Change,
  defaultMac,
  Endpoint,
  Protocol,
  parseAddress,
  Service,
  ServiceBackend,
  SlotState,
  Subnet,
  Vpc,
} from '@megrez/model';
import { maglev, slotOf } from '@megrez/ring';

/** Objects of one VPC `acme` (VNI 7) with one subnet `web` (10.0.1.0/24), as a controller tells of them. */
export const vni = 7;
export const subnet_number = 3;
const meta = (generation: number) => ({ generation, requestId: '', createdAtMs: 0, deleting: false });

export const vpcChange = (generation = 1, deleted = false): Change => ({
  generation,
  deleted,
  object: { oneofKind: 'vpc', vpc: Vpc.create({ name: 'acme', vni, cidrs: ['10.0.0.0/16'], meta: meta(generation) }) },
});

export const subnetChange = (generation = 2, deleted = false, more: Partial<Subnet> = {}): Change => ({
  generation,
  deleted,
  object: {
    oneofKind: 'subnet',
    subnet: Subnet.create({
      vpc: 'acme',
      name: 'web',
      vni,
      number: subnet_number,
      cidrs: ['10.0.1.0/24'],
      gateways: ['10.0.1.1'],
      meta: meta(generation),
      ...more,
    }),
  },
});

/** Every slot at one owner; subnet 0 is the VPC's dividers. */
export const tableChange = (
  owner: { readonly host: string; readonly address: string },
  generation = 3,
  deleted = false,
  { subnet = subnet_number, state = SlotState.SERVING } = {},
): Change => ({
  generation,
  deleted,
  object: {
    oneofKind: 'table',
    table: {
      vni,
      subnet,
      epoch: 1,
      generation,
      owners: [owner],
      slots: Array.from({ length: 256 }, () => ({ holders: [{ owner: 0, state }] })),
    },
  },
});

export const endpointChange = (fields: Partial<Endpoint>, generation: number, deleted = false): Change => {
  const ip = fields.ip ?? '10.0.1.7';
  const address = parseAddress(ip);
  const endpoint = Endpoint.create({
    meta: meta(generation),
    vpc: 'acme',
    subnet: 'web',
    name: 'a',
    host: 'h1',
    hostAddress: '192.0.2.1',
    mac: defaultMac(address),
    vni,
    subnetNumber: subnet_number,
    slot: slotOf(vni, address),
    ...fields,
    ip,
  });
  return { generation, deleted, object: { oneofKind: 'endpoint', endpoint } };
};

/** What a deletion says; `hostAddress` that the endpoint is somewhere else. */
export const endpointDeletion = (ip: string, generation: number, hostAddress = '', ip6 = ''): Change => {
  const slot = slotOf(vni, parseAddress(ip));
  const endpoint = Endpoint.create({ vni, subnetNumber: subnet_number, ip, ip6, hostAddress, slot });
  return { generation, deleted: true, object: { oneofKind: 'endpoint', endpoint } };
};

/** Port `listen` of 10.0.1.9, TCP, at backends that are the last bytes of addresses; their numbers are their places. */
export const serviceChange = (
  fields: Partial<Service>,
  ports: readonly number[],
  backends: readonly number[],
  generation: number,
): Change => {
  const ip = fields.ip ?? '10.0.1.9';
  const service = Service.create({
    meta: meta(generation),
    vpc: 'acme',
    subnet: 'web',
    name: 'shop',
    mac: defaultMac(parseAddress(ip)),
    vni,
    subnetNumber: subnet_number,
    ports: ports.map((listen) => ({ listen, target: 8_000 + listen, protocol: Protocol.TCP })),
    backends: backends.map((last, number) => ServiceBackend.create({ number, ip: `10.0.1.${last}` })),
    buckets: maglev(backends.map((last, number) => ({ number, name: `10.0.1.${last}`, weight: 100 }))),
    ...fields,
    ip,
  });
  return { generation, deleted: false, object: { oneofKind: 'service', service } };
};

/** What a deletion says. */
export const serviceDeletion = (name: string, generation: number): Change => ({
  generation,
  deleted: true,
  object: { oneofKind: 'service', service: Service.create({ vni, subnetNumber: subnet_number, name }) },
});
