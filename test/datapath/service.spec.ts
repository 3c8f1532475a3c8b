/** Flows to services: what a bouncer says, what the client's host does there and back. */
import { Affinity, maps, Refusal } from '@megrez/abi';
import { formatAddress, parseAddress } from '@megrez/model';
import { type Row, row } from '@megrez/plan';
import { describe, expect, test } from 'vitest';
import { cookie, now_ns, steadyWindow } from './cookie';
import { type Datapath, openDatapath } from './datapath';
import {
  arp,
  broadcastMac,
  checksum,
  ethernet,
  ethertype,
  flag,
  icmpEcho,
  icmpError,
  ip,
  type Outer,
  op,
  option,
  type PathOption,
  path,
  tunnel,
  udp,
  zeroMac,
} from './frames';
import { type Case, runTable } from './table';
import {
  addresses,
  endpoint,
  gateway,
  gatewayMac,
  type HostName,
  hostMac,
  hostRows,
  hosts,
  macBytes,
  macOf,
  pathRow,
  subnet,
  vni,
} from './world';

/** The service is `x`, its one backend `b` on h2; `a` on h1 is the client, h3 the bouncer. */
const vip = addresses.x;
const all = [endpoint('a', 'h1'), endpoint('c', 'h1')];
const h1 = () => hostRows('h1', ['h3'], all);
const serviceKey = (port: number, protocol: number) => ({ vni, ip: parseAddress(vip), port, protocol });
const service = (fields: { backends?: number; refusal?: number; affinity?: number; to?: string } = {}): Row[] => [
  row(
    'backends',
    { service: serviceKey(80, 17), number: 0 },
    { ip: parseAddress(fields.to ?? addresses.b), port: 8080, generation: 6 },
  ),
  ...[17, 6].map((protocol) =>
    row('service_ports', serviceKey(80, protocol), {
      generation: 6,
      backends: fields.backends ?? 1,
      affinity: fields.affinity ?? Affinity.flow,
      refusal: fields.refusal ?? Refusal.tell,
      bucket: new Uint8Array(2042),
    }),
  ),
  row(
    'backends',
    { service: serviceKey(80, 6), number: 0 },
    { ip: parseAddress(fields.to ?? addresses.b), port: 8080, generation: 6 },
  ),
  row('services', { vni, ip: parseAddress(vip) }, { generation: 6, mac: macBytes(macOf('x')) }),
];
const h3 = (fields?: Parameters<typeof service>[0]) => [...hostRows('h3', ['h3'], all), ...service(fields)];
const isService = () => ({ ...pathRow({ about: 'x', host: 'h3', state: 1, told_ms_ago: 100 }), ...stateOf(3) });
const stateOf = (state: 3) => ({
  value: maps.paths.value.encode({
    ...maps.paths.value.decode(pathRow({ about: 'x', host: 'h3', state: 1, told_ms_ago: 100 }).value),
    state,
  }),
});

const bytes = Buffer.from('for whom it may concern');
interface Ends {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
}
const there: Ends = { from: addresses.a, to: vip, fromPort: 4000, toPort: 80 };
const translated: Ends = { from: addresses.a, to: addresses.b, fromPort: 4000, toPort: 8080 };
const reply: Ends = { from: addresses.b, to: addresses.a, fromPort: 8080, toPort: 4000 };
const replied: Ends = { from: vip, to: addresses.a, fromPort: 80, toPort: 4000 };

const pseudo = (from: string, to: string, protocol: number, segment: Buffer): Buffer =>
  Buffer.concat([
    parseAddress(from).subarray(12),
    parseAddress(to).subarray(12),
    Buffer.from([0, protocol, segment.length >> 8, segment.length & 0xff]),
    segment,
  ]);
const udpOf = ({ from, to, fromPort, toPort }: Ends): Buffer => {
  const segment = udp(fromPort, toPort, bytes);
  segment.writeUInt16BE(checksum(pseudo(from, to, 17, segment)), 6);
  return ip({ from, to, protocol: 17, payload: segment });
};
const tcpOf = ({ from, to, fromPort, toPort }: Ends, flags: number): Buffer => {
  const segment = Buffer.alloc(20);
  segment.writeUInt16BE(fromPort, 0);
  segment.writeUInt16BE(toPort, 2);
  segment[12] = 0x50;
  segment[13] = flags;
  segment.writeUInt16BE(checksum(pseudo(from, to, 6, segment)), 16);
  return ip({ from, to, protocol: 6, payload: segment });
};
const frame = (packet: Buffer, from = macOf('a'), to = macOf('x')): Buffer => ethernet(from, to, ethertype.ip4, packet);
const between = (from: HostName, to: HostName, fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac(from), toMac: hostMac(to), from: hosts[from], to: hosts[to], vni, ...fields });
const ask = (fields: Partial<PathOption> = {}): Buffer =>
  path({ op: op.ask, subnet, epoch: 3, cookie: cookie(vni, vip, now_ns()), host: hosts.h1, ...fields });
/** The option that gives the flow its backend. */
const pin = (backend: string | undefined, port: number, refusal = 0, cookies = cookie(vni, vip, now_ns())): Buffer => {
  const body = Buffer.from(ask({ op: op.pin, flags: flag.service, cookie: cookies }).subarray(4));
  body.set(backend === undefined ? new Uint8Array(16) : parseAddress(backend), 20);
  body.writeUInt16BE(port, 36);
  body.writeUInt16BE(refusal, 38);
  return option(0x81, body);
};
const answered = (options: Buffer, inner: Buffer): Buffer =>
  tunnel({ fromMac: hostMac('h1'), toMac: hostMac('h3'), from: hosts.h3, to: hosts.h1, vni, options, inner });
const dropped = { action: 'drop' } as const;

const request = ethernet(
  macOf('a'),
  broadcastMac,
  ethertype.arp,
  arp({ operation: 1, senderMac: macOf('a'), sender: addresses.a, targetMac: zeroMac, target: vip }),
);
const arpAnswer = ethernet(
  macOf('x'),
  macOf('a'),
  ethertype.arp,
  arp({ operation: 2, senderMac: macOf('x'), sender: vip, targetMac: macOf('a'), target: addresses.a }),
);

const bouncer: Case[] = [
  {
    name: 'ARP for a service, with the mark of one',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask(), inner: request }),
    verdict: 'answered',
    action: 'redirect',
    expected: () =>
      answered(ask({ op: op.tell, flags: flag.service, host: hosts.h3, generation: 6, mac: macOf('x') }), arpAnswer),
  },
  {
    name: 'a flow gets its backend, and the packet back',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask(), inner: frame(udpOf(there)) }),
    verdict: 'pinned',
    action: 'redirect',
    expected: () => answered(pin(addresses.b, 8080), frame(udpOf(there))),
  },
  {
    name: 'any bouncer may be asked by the flow',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask({ flags: flag.service }), inner: frame(tcpOf(there, 2)) }),
    verdict: 'pinned',
    action: 'redirect',
    expected: () => answered(pin(addresses.b, 8080), frame(tcpOf(there, 2))),
  },
  {
    name: 'nobody is behind the service',
    rows: () => h3({ backends: 0 }),
    packet: () => between('h1', 'h3', { options: ask(), inner: frame(udpOf(there)) }),
    verdict: 'pinned',
    action: 'redirect',
    expected: () => answered(pin(undefined, 0, Refusal.tell), frame(udpOf(there))),
  },
  {
    name: 'nobody, and nothing is to be said of it',
    rows: () => h3({ backends: 0, refusal: Refusal.drop }),
    packet: () => between('h1', 'h3', { options: ask(), inner: frame(udpOf(there)) }),
    verdict: 'pinned',
    action: 'redirect',
    expected: () => answered(pin(undefined, 0, Refusal.drop), frame(udpOf(there))),
  },
  {
    name: 'a port that is not mapped',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask(), inner: frame(udpOf({ ...there, toPort: 81 })) }),
    verdict: 'pinned',
    action: 'redirect',
    expected: () => answered(pin(undefined, 0, Refusal.tell), frame(udpOf({ ...there, toPort: 81 }))),
  },
  {
    name: 'a ping has no flow: the asker learns that this is a service',
    rows: h3,
    packet: () =>
      between('h1', 'h3', {
        options: ask(),
        inner: frame(ip({ from: addresses.a, to: vip, protocol: 1, payload: icmpEcho(8, bytes) })),
      }),
    verdict: 'pinned',
    action: 'redirect',
    expected: () =>
      answered(
        ask({ op: op.tell, flags: flag.service, host: hosts.h3, generation: 6, mac: macOf('x') }),
        frame(ip({ from: addresses.a, to: vip, protocol: 1, payload: icmpEcho(8, bytes) })),
      ),
  },
  {
    name: 'a fragment has no ports',
    rows: h3,
    packet: () =>
      between('h1', 'h3', {
        options: ask(),
        inner: frame(ip({ from: addresses.a, to: vip, protocol: 17, fragment: 0x2000, payload: udp(1, 80, bytes) })),
      }),
    verdict: 'service_fragment',
    ...dropped,
  },
];

const flowRow = (
  map: 'flows' | 'young_flows',
  key: Ends,
  to: Ends,
  fields: { state?: number; ago_ms?: number } = {},
  protocol = 17,
): Row =>
  row(map, flowKey(key, protocol), {
    source: parseAddress(to.from),
    destination: parseAddress(to.to),
    source_port: to.fromPort,
    destination_port: to.toPort,
    state: (fields.state ?? 0) as 0,
    ifindex: 1,
    pinned_at: now_ns() - BigInt(fields.ago_ms ?? 0) * 1_000_000n,
    seen_at: now_ns() - BigInt(fields.ago_ms ?? 0) * 1_000_000n,
  });
const flowKey = (of: Ends, protocol = 17) => ({
  vni,
  source: parseAddress(of.from),
  destination: parseAddress(of.to),
  source_port: of.fromPort,
  destination_port: of.toPort,
  protocol,
});
const toB = () => pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 100 });

const sending: Case[] = [
  {
    name: 'a new flow asks a bouncer',
    rows: () => [...h1(), isService()],
    packet: () => frame(udpOf(there)),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'a flow with a backend goes straight there, translated',
    rows: () => [...h1(), isService(), toB(), flowRow('young_flows', there, translated)],
    packet: () => frame(udpOf(there)),
    verdict: 'direct',
    action: 'redirect',
    after: (datapath) => expect(datapath.counts()).toEqual({ 'endpoint/direct': 1 }),
  },
  {
    name: 'one that was silent for minutes is a new one',
    rows: () => [...h1(), isService(), toB(), flowRow('young_flows', there, translated, { ago_ms: 200_000 })],
    packet: () => frame(udpOf(there)),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'a SYN on an old name asks anew',
    rows: () => [...h1(), isService(), toB(), flowRow('flows', there, translated, { state: 1, ago_ms: 2_000 }, 6)],
    packet: () => frame(tcpOf(there, 2)),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'a SYN on the name of one that has just ended',
    rows: () => [...h1(), isService(), toB(), flowRow('flows', there, translated, { state: 2 }, 6)],
    packet: () => frame(tcpOf(there, 2)),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'who ends a connection ends it in both directions',
    rows: () => [...h1(), isService(), toB(), ...pair(6)],
    packet: () => frame(tcpOf(there, 4)),
    verdict: 'direct',
    action: 'redirect',
    after: (datapath) => {
      expect(datapath.get('young_flows', flowKey(there, 6))).toMatchObject({ state: 2 });
      expect(datapath.get('young_flows', flowKey(reply, 6))).toMatchObject({ state: 2 });
    },
  },
  {
    name: 'the error of a backend that is its own client comes back to it',
    rows: () => [
      ...h1(),
      isService(),
      flowRow('young_flows', there, { ...translated, from: vip, to: addresses.a }),
      flowRow('young_flows', { ...reply, from: addresses.a, to: vip }, replied),
    ],
    packet: () =>
      frame(
        ip({
          from: addresses.a,
          to: vip,
          protocol: 1,
          payload: icmpError(
            3,
            3,
            0,
            ip({ from: vip, to: addresses.a, protocol: 17, payload: udp(4000, 8080, bytes) }),
          ),
        }),
      ),
    verdict: 'local',
    action: 'redirect',
    expected: () => frame(errorAbout(there, vip), macOf('a'), macOf('a')),
  },
  {
    name: 'a client’s own error about an answer goes to the backend',
    rows: () => [...h1(), isService(), toB(), ...pair(17)],
    packet: () =>
      frame(
        ip({
          from: addresses.a,
          to: vip,
          protocol: 1,
          payload: icmpError(3, 3, 0, ip({ from: vip, to: addresses.a, protocol: 17, payload: udp(80, 4000, bytes) })),
        }),
      ),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'an error about another’s flow is nobody’s business',
    rows: () => [...h1(), isService(), toB(), ...pair(17)],
    packet: () =>
      frame(
        ip({
          from: addresses.a,
          to: vip,
          protocol: 1,
          payload: icmpError(3, 3, 0, ip({ from: vip, to: addresses.c, protocol: 17, payload: udp(80, 4000, bytes) })),
        }),
      ),
    verdict: 'service_protocol',
    ...dropped,
  },
  {
    name: 'a backend that is gone: the error names the service, and the flow is over',
    rows: () => [...h1(), isService(), client(), ...pair(17), pathRow({ about: 'b', state: 2, told_ms_ago: 0 })],
    packet: () => frame(udpOf(there)),
    verdict: 'unreachable',
    action: 'redirect',
    after: (datapath) => expect(datapath.get('young_flows', flowKey(there))).toMatchObject({ seen_at: 0n }),
  },
  {
    name: 'a bouncer’s own endpoint asks too often',
    rows: () => [
      ...hostRows('h1', ['h1'], all),
      ...service(),
      row('budgets', { ifindex: 1 }, { due: now_ns() + 60_000_000_000n, error_due: 0n }),
    ],
    packet: () => frame(udpOf(there)),
    verdict: 'ask_budget',
    ...dropped,
  },
  {
    name: 'the subnet’s only bouncer knows that a service is gone',
    rows: () => [...hostRows('h1', ['h1'], all), isService()],
    packet: () => frame(udpOf(there)),
    verdict: 'unreachable',
    action: 'redirect',
  },
  {
    name: 'now and then a packet keeps the flow’s other direction alive',
    rows: () => [
      ...h1(),
      isService(),
      toB(),
      flowRow('young_flows', there, translated, { ago_ms: 20_000 }),
      flowRow('young_flows', reply, replied, { ago_ms: 170_000 }),
    ],
    packet: () => frame(udpOf(there)),
    verdict: 'direct',
    action: 'redirect',
    after: (datapath) =>
      expect(now_ns() - (datapath.get('young_flows', flowKey(reply))?.seen_at ?? 0n)).toBeLessThan(1_000_000_000n),
  },
  {
    name: 'but its data does not',
    rows: () => [...h1(), isService(), toB(), flowRow('flows', there, translated, { state: 1, ago_ms: 2_000 }, 6)],
    packet: () => frame(tcpOf(there, 16)),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'a ping of the service is answered on the spot',
    rows: () => [...h1(), isService()],
    packet: () => frame(ip({ from: addresses.a, to: vip, protocol: 1, payload: icmpEcho(8, bytes) })),
    verdict: 'ping_service',
    action: 'redirect',
    expected: () =>
      frame(ip({ from: vip, to: addresses.a, protocol: 1, payload: icmpEcho(0, bytes) }), macOf('x'), macOf('a')),
  },
  {
    name: 'a protocol that services do not have',
    rows: () => [...h1(), isService()],
    packet: () => frame(ip({ from: addresses.a, to: vip, protocol: 47, payload: bytes })),
    verdict: 'service_protocol',
    ...dropped,
  },
  {
    name: 'a bouncer’s own endpoint: the flow is pinned, and the packet sets out again',
    rows: () => [...hostRows('h1', ['h1'], all), ...service()],
    packet: () => frame(udpOf(there)),
    verdict: 'told_service',
    action: 'redirect',
    expected: () => frame(udpOf(there)),
    after: (datapath) =>
      expect(datapath.get('young_flows', flowKey(there))).toMatchObject({ destination_port: 8080, source_port: 4000 }),
  },
  {
    name: 'a bouncer’s own endpoint, and no backend',
    rows: () => [...hostRows('h1', ['h1'], all), ...service({ backends: 0 })],
    packet: () => frame(udpOf(there)),
    verdict: 'port_unreachable',
    action: 'redirect',
  },
  {
    name: 'and nothing to be said of it',
    rows: () => [...hostRows('h1', ['h1'], all), ...service({ backends: 0, refusal: Refusal.drop })],
    packet: () => frame(udpOf(there)),
    verdict: 'no_backend',
    ...dropped,
  },
];

const coming: Case[] = [
  {
    name: 'the packet comes from its endpoint once more, its flow known there and back',
    rows: () => [...h1()],
    packet: () => between('h3', 'h1', { options: pin(addresses.b, 8080), inner: frame(udpOf(there)) }),
    verdict: 'told_service',
    action: 'redirect',
    expected: () => frame(udpOf(there), macOf('a'), gatewayMac),
    after: (datapath) => {
      expect(ends(datapath, there)).toEqual(translated);
      expect(ends(datapath, reply)).toEqual(replied);
      expect(datapath.get('paths', { vni, ip: parseAddress(vip) })).toMatchObject({ state: 3 });
    },
  },
  {
    name: 'a backend that is its own client sees the service as the sender',
    rows: () => [...h1()],
    packet: () => between('h3', 'h1', { options: pin(addresses.a, 8080), inner: frame(udpOf(there)) }),
    verdict: 'told_service',
    action: 'redirect',
    after: (datapath) =>
      expect(ends(datapath, there)).toEqual({ from: vip, to: addresses.a, fromPort: 4000, toPort: 8080 }),
  },
  {
    name: 'another service’s flow has the port already',
    rows: () => [...h1(), flowRow('young_flows', reply, { ...replied, from: '10.0.1.98' })],
    packet: () => between('h3', 'h1', { options: pin(addresses.b, 8080), inner: frame(udpOf(there)) }),
    verdict: 'told_service',
    action: 'redirect',
    after: (datapath) => {
      expect(ends(datapath, reply)?.from).toBe('10.0.1.98');
      const other = ends(datapath, there);
      expect(other?.fromPort).not.toBe(4000);
      expect(ends(datapath, { ...reply, toPort: other?.fromPort ?? 0 })).toEqual(replied);
    },
  },
  {
    name: 'a flow that lives keeps its backend',
    rows: () => [...h1(), flowRow('flows', there, { ...translated, to: addresses.h }, { state: 1 }, 6)],
    packet: () => between('h3', 'h1', { options: pin(addresses.b, 8080), inner: frame(tcpOf(there, 16)) }),
    verdict: 'told_service',
    action: 'redirect',
    after: (datapath) => expect(ends(datapath, there, 6, 'flows')?.to).toBe(addresses.h),
  },
  {
    name: 'a pin that nobody asked for',
    rows: h1,
    packet: () => between('h3', 'h1', { options: pin(addresses.b, 8080, 0, 5n), inner: frame(udpOf(there)) }),
    verdict: 'forged_cookie',
    ...dropped,
    after: (datapath) => expect(ends(datapath, there)).toBeUndefined(),
  },
  {
    name: 'nobody is there: the client is told',
    rows: h1,
    packet: () => between('h3', 'h1', { options: pin(undefined, 0, Refusal.tell), inner: frame(udpOf(there)) }),
    verdict: 'port_unreachable',
    action: 'redirect',
    expected: () => {
      const quoted = udpOf(there);
      const error = ip({
        from: gateway,
        to: addresses.a,
        protocol: 1,
        payload: icmpError(3, 3, 0, quoted.subarray(0, 40)),
      });
      return Buffer.concat([frame(error, gatewayMac, macOf('a')), quoted.subarray(40)]);
    },
  },
  {
    name: 'nobody is there, and the service wants silence',
    rows: h1,
    packet: () => between('h3', 'h1', { options: pin(undefined, 0, Refusal.drop), inner: frame(udpOf(there)) }),
    verdict: 'no_backend',
    ...dropped,
  },
  {
    name: 'ARP says that the address is a service',
    rows: h1,
    packet: () =>
      between('h3', 'h1', {
        options: ask({ op: op.tell, flags: flag.service, host: hosts.h3, generation: 6, mac: macOf('x') }),
        inner: arpAnswer,
      }),
    verdict: 'told_arp',
    action: 'redirect',
    after: (datapath) => expect(datapath.get('paths', { vni, ip: parseAddress(vip) })).toMatchObject({ state: 3 }),
  },
];

const ends = (
  datapath: Datapath,
  key: Ends,
  protocol = 17,
  map: 'flows' | 'young_flows' = 'young_flows',
): Ends | undefined => {
  const flow = datapath.get(map, flowKey(key, protocol));
  return (
    flow && {
      from: formatAddress(flow.source),
      to: formatAddress(flow.destination),
      fromPort: flow.source_port,
      toPort: flow.destination_port,
    }
  );
};

const client = () => row('quotas', { ifindex: 1 }, { pinned_at: now_ns(), flows: 0 });
const pair = (protocol: number) => [
  flowRow('young_flows', there, translated, {}, protocol),
  flowRow('young_flows', reply, replied, {}, protocol),
];
const fromB = (packet: Buffer) => frame(packet, macOf('b'), macOf('a'));

const returning: Case[] = [
  {
    name: 'an answer comes from the service again',
    rows: () => [...h1(), client(), ...pair(17)],
    packet: () => between('h2', 'h1', { inner: fromB(udpOf(reply)) }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => fromB(udpOf(replied)),
  },
  {
    name: 'the first answer of a connection takes it out of the reach of others',
    rows: () => [...h1(), client(), ...pair(6)],
    packet: () => between('h2', 'h1', { inner: fromB(tcpOf(reply, 18)) }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => fromB(tcpOf(replied, 18)),
    after: (datapath) => {
      expect(ends(datapath, there, 6, 'flows')).toEqual(translated);
      expect(ends(datapath, reply, 6, 'flows')).toEqual(replied);
      expect(ends(datapath, there, 6)).toBeUndefined();
      expect(datapath.get('quotas', { ifindex: 1 })).toMatchObject({ flows: 1 });
    },
  },
  {
    name: 'an error about the flow names the service, outside and inside',
    rows: () => [...h1(), client(), ...pair(17)],
    packet: () => between('h2', 'h1', { inner: fromB(errorAbout(translated, addresses.b)) }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => fromB(errorAbout(there, vip)),
  },
  {
    name: 'no bouncer knows the backend: the client is told of the service',
    rows: () => [...h1(), client(), ...pair(17), pathRow({ about: 'b', state: 0, told_ms_ago: 5, asks: 1 })],
    packet: () =>
      between('h3', 'h1', {
        options: path({ op: op.none, subnet, epoch: 3, cookie: cookie(vni, addresses.b, now_ns()), host: hosts.h1 }),
        inner: frame(udpOf(translated), macOf('a'), macOf('b')),
      }),
    verdict: 'unreachable',
    action: 'redirect',
    after: (datapath) => expect(datapath.get('young_flows', flowKey(there))).toMatchObject({ seen_at: 0n }),
    expected: () => {
      const quoted = udpOf(translated);
      const said = Buffer.from(udpOf(there).subarray(0, 28));
      // The quoted checksum is the translated datagram's: nobody looks at it.
      said.set(quoted.subarray(26, 28), 26);
      const whole = Buffer.concat([said, quoted.subarray(28, 40)]);
      const error = ip({ from: gateway, to: addresses.a, protocol: 1, payload: icmpError(3, 1, 0, whole) });
      return Buffer.concat([frame(error, gatewayMac, macOf('a')), quoted.subarray(40)]);
    },
  },
  {
    name: 'what is of no flow stays as it is',
    rows: () => [...h1(), client(), ...pair(17)],
    packet: () => between('h2', 'h1', { inner: fromB(udpOf({ ...reply, fromPort: 9 })) }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => fromB(udpOf({ ...reply, fromPort: 9 })),
  },
];

/** "Port unreachable" about a datagram, whose own checksum is none. */
const errorAbout = ({ from, to, fromPort, toPort }: Ends, by: string): Buffer =>
  ip({
    from: by,
    to: addresses.a,
    protocol: 1,
    payload: icmpError(3, 3, 0, ip({ from, to, protocol: 17, payload: udp(fromPort, toPort, bytes) })),
  });

runTable('nic', 'nic: the bouncer of a service', bouncer);
runTable('endpoint', 'endpoint: services', sending);
runTable('nic', 'nic: backends', coming);
runTable('nic', 'nic: answers of backends', returning);

describe('a translated packet', () => {
  test.each([
    ['UDP', udpOf(there), udpOf(translated)],
    ['TCP', tcpOf(there, 16), tcpOf(translated, 16)],
  ])('of %s has true checksums', async (_, sent, wanted) => {
    const datapath = await openDatapath();
    await steadyWindow();
    datapath.put([
      ...h1(),
      isService(),
      toB(),
      flowRow('young_flows', there, translated),
      flowRow('young_flows', there, translated, {}, 6),
    ]);
    const { packet } = await datapath.run('endpoint', frame(sent));
    datapath.close();
    // Behind Ethernet, IPv4, UDP, Geneve and the inner Ethernet.
    expect(packet.subarray(14 + 20 + 8 + 8 + 14).toString('hex')).toBe(wanted.toString('hex'));
  });
});
