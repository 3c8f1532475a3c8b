import { Affinity as AffinityRow, Refusal as RefusalRow } from '@megrez/abi';
import { Affinity, Protocol, parseAddress, parseMac, Refusal, type Service, type ServicePort } from '@megrez/model';
import { serviceBuckets } from '@megrez/ring';
import type { PlanContext } from './context';
import { type Row, type RowKey, row, rowKey } from './row';

/** As in the IP header. */
const protocols = { [Protocol.UNSPECIFIED]: 6, [Protocol.TCP]: 6, [Protocol.UDP]: 17 } as const;

/** Rows of one port begin with the address and end with it. */
const portKey = ({ vni, ip }: Service, { listen, protocol }: ServicePort) => ({
  vni,
  ip: parseAddress(ip),
  port: listen,
  protocol: protocols[protocol],
});

/**
 * What a bouncer answers for the service: every holder of slots of its subnet does. Backends go first and the address last:
 * who finds one row finds what it names.
 */
export const planService = (service: Service, context: PlanContext): readonly Row[] => {
  const { vni, subnetNumber, ports, meta, mac } = service;
  if (!context.holdsAny(vni, subnetNumber)) return [];
  const generation = meta?.generation ?? 0;
  const live = service.backends.filter(({ down }) => !down);
  const bucket = bucketsOf(service.buckets);
  const affinity = service.affinity === Affinity.CLIENT_IP ? AffinityRow.client_ip : AffinityRow.flow;
  const refusal = service.refusal === Refusal.DROP ? RefusalRow.drop : RefusalRow.tell;
  const rowsOf = ports.map((port) => portKey(service, port));
  return [
    ...ports.flatMap(({ target }, i) =>
      live.map(({ ip, number }) =>
        row(
          'backends',
          { service: rowsOf[i] as (typeof rowsOf)[number], number },
          { ip: parseAddress(ip), port: target, generation },
        ),
      ),
    ),
    ...rowsOf.map((key) => row('service_ports', key, { generation, backends: live.length, affinity, refusal, bucket })),
    row('services', { vni, ip: parseAddress(service.ip) }, { generation, mac: parseMac(mac) }),
  ];
};

/** The row's little-endian words; zeros when there is no table. */
const bucketsOf = (buckets: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(2 * serviceBuckets);
  for (const [bucket, number] of buckets.entries()) bytes[2 * bucket] = number;
  return bytes;
};

/** Every row that the service may have, in the order of their removal. */
export const serviceKeys = (service: Service): readonly RowKey[] => {
  if (service.ip === '') return [];
  const { vni, ports, backends } = service;
  const keys = ports.map((port) => portKey(service, port));
  return [
    rowKey('services', { vni, ip: parseAddress(service.ip) }),
    ...keys.map((key) => rowKey('service_ports', key)),
    ...keys.flatMap((key) => backends.map(({ number }) => rowKey('backends', { service: key, number }))),
  ];
};
