import { maps } from '@megrez/abi';
import { Affinity, Protocol, parseAddress, parseMac, Refusal, Service, ServiceBackend } from '@megrez/model';
import { maglev, serviceBuckets } from '@megrez/ring';
import { expect, test } from 'vitest';
import { type PlanContext, planService, type Row, rowId, serviceKeys } from '.';

const context = (holds: boolean): PlanContext => ({
  host: 'h1',
  subnet: () => undefined,
  holds: () => holds,
  holdsAny: () => holds,
  interfaceOf: () => undefined,
});
const backend = (number: number, ip: string, down = false): ServiceBackend =>
  ServiceBackend.create({ number, ip, down });
const shop = Service.create({
  meta: { generation: 40 },
  vni: 7,
  subnetNumber: 3,
  name: 'shop',
  ip: '10.0.1.9',
  mac: '02:4d:0a:00:01:09',
  ports: [
    { listen: 80, target: 8080, protocol: Protocol.TCP },
    { listen: 53, target: 53, protocol: Protocol.UDP },
  ],
  backends: [backend(0, '10.0.1.2'), backend(5, '10.0.2.2'), backend(2, '10.0.2.3', true)],
  buckets: maglev([
    { number: 0, name: '10.0.1.2', weight: 1 },
    { number: 5, name: '10.0.2.2', weight: 3 },
  ]),
});
const vip = parseAddress('10.0.1.9');
const tcp = { vni: 7, ip: vip, port: 80, protocol: 6 };
const udp = { vni: 7, ip: vip, port: 53, protocol: 17 };

const of = (rows: readonly Row[], map: Row['map']): readonly Row[] => rows.filter((one) => one.map === map);
const words = (bytes: Uint8Array): readonly number[] =>
  Array.from({ length: bytes.length / 2 }, (_, i) => Buffer.from(bytes).readUInt16LE(2 * i));

test('is its address, its ports with the table, and the backends that live, in this order backwards', () => {
  const rows = planService(shop, context(true));
  expect(rows.map(({ map }) => map)).toEqual([
    ...Array.from({ length: 4 }, () => 'backends'),
    'service_ports',
    'service_ports',
    'services',
  ]);
  expect(of(rows, 'backends').map(({ key }) => maps.backends.key.decode(key))).toEqual([
    { service: tcp, number: 0 },
    { service: tcp, number: 5 },
    { service: udp, number: 0 },
    { service: udp, number: 5 },
  ]);
  expect(of(rows, 'backends').map(({ value }) => maps.backends.value.decode(value))).toEqual([
    { ip: parseAddress('10.0.1.2'), port: 8080, generation: 40 },
    { ip: parseAddress('10.0.2.2'), port: 8080, generation: 40 },
    { ip: parseAddress('10.0.1.2'), port: 53, generation: 40 },
    { ip: parseAddress('10.0.2.2'), port: 53, generation: 40 },
  ]);
  const [port] = of(rows, 'service_ports').map(({ value }) => maps.service_ports.value.decode(value));
  expect(port).toMatchObject({ generation: 40, backends: 2, affinity: 0, refusal: 1 });
  const bucket = words(port?.bucket ?? new Uint8Array());
  expect([bucket.length, new Set(bucket)]).toEqual([serviceBuckets, new Set([0, 5])]);
  expect(bucket.filter((number) => number === 5).length).toBeCloseTo((serviceBuckets * 3) / 4, -1);
  const [address] = of(rows, 'services');
  expect(maps.services.key.decode(address?.key as Buffer)).toEqual({ vni: 7, ip: vip });
  expect(maps.services.value.decode(address?.value as Buffer)).toEqual({ generation: 40, mac: parseMac(shop.mac) });
});

test('says who is kept together, and what clients get while nobody is there', () => {
  const empty = { ...shop, backends: [backend(2, '10.0.2.3', true)], buckets: new Uint8Array() };
  const rows = planService({ ...empty, affinity: Affinity.CLIENT_IP, refusal: Refusal.DROP }, context(true));
  expect(of(rows, 'backends')).toEqual([]);
  for (const { value } of of(rows, 'service_ports')) {
    expect(maps.service_ports.value.decode(value)).toMatchObject({ backends: 0, affinity: 1, refusal: 0 });
  }
  expect(of(rows, 'services')).toHaveLength(1);
});

test('is nothing to a host that holds no slot of its subnet', () => {
  expect(planService(shop, context(false))).toEqual([]);
});

test('has no other rows than those that are removed, the address first', () => {
  const keys = serviceKeys(shop);
  expect(keys[0]?.map).toBe('services');
  const known = new Set(keys.map(rowId));
  expect(planService(shop, context(true)).filter((one) => !known.has(rowId(one)))).toEqual([]);
  expect(serviceKeys(Service.create({ vni: 7, subnetNumber: 3, name: 'shop' }))).toEqual([]);
});
