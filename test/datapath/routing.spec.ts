/** Subnets of one VPC: dividers, what comes back from them, and what a router tells its tenants. */
import { expect } from 'vitest';
import { cookie, now_ns } from './cookie';
import {
  ethernet,
  ethertype,
  flag,
  flowPort,
  icmpError,
  ip,
  type Outer,
  op,
  type PathOption,
  path,
  tunnel,
  udp,
} from './frames';
import { type Case, runTable } from './table';
import {
  addresses,
  addressOf,
  type EndpointName,
  endpoint,
  endpointRow,
  gateway,
  gatewayMac,
  type HostName,
  hostMac,
  hostRows,
  hosts,
  macOf,
  mtu,
  otherRows,
  otherSubnet,
  pathRow,
  subnet,
  vni,
} from './world';

const all = [endpoint('a', 'h1'), endpoint('b', 'h2'), endpoint('c', 'h1')];
/** h3 is the bouncer of `a`'s subnet and the VPC's divider; h4 is the bouncer of `d`'s. */
const h1 = () => [...hostRows('h1', ['h3'], all), ...otherRows('h1', { dividers: ['h3'] })];
const divider = (self: HostName, dividers: HostName[] = ['h3'], attached = true) => [
  ...hostRows(self, ['h3'], all, { attached }),
  ...otherRows(self, { dividers, bouncers: ['h4', 'h2'] }),
];

const bytes = Buffer.from('bytes that cross a gateway');
const datagram = (to: string, ttl = 64, payload: Buffer = bytes): Buffer =>
  ip({
    from: addresses.a,
    to: addresses[to as EndpointName] ?? to,
    protocol: 17,
    ttl,
    payload: udp(1000, 2000, payload),
  });
/** As `a` sends it, to its gateway. */
const sent = (to: string, ttl = 64): Buffer => ethernet(macOf('a'), gatewayMac, ethertype.ip4, datagram(to, ttl));
/** As it is on the way, one hop later, and as `to` gets it. */
const routed = (to: EndpointName, mac: string, ttl = 63): Buffer =>
  ethernet(gatewayMac, mac, ethertype.ip4, datagram(to, ttl));

const option = (about: EndpointName, fields: Partial<PathOption> = {}): Buffer =>
  path({ op: op.ask, cookie: cookie(vni, addresses[about], now_ns()), host: hosts.h1, epoch: 3, ...fields });
const between = (from: HostName, to: HostName, fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac(from), toMac: hostMac(to), from: hosts[from], to: hosts[to], vni, ...fields });
/** What leaves the endpoint's host; the link-layer head is the next hop's business. */
const out = (packet: Buffer): Buffer => Buffer.concat([Buffer.from(sent('d').subarray(0, 12)), packet.subarray(12)]);
const known = (about: EndpointName, host: HostName) => pathRow({ about, host, state: 1, told_ms_ago: 100 });

/** What the gateway says to `a` of the packet; behind the error stays the rest of what it sent. */
const error = (type: number, code: number, next: number, packet: Buffer): Buffer => {
  const quote = [68, 40, 28].find((length) => packet.length >= length) ?? 0;
  const message = icmpError(type, code, next, packet.subarray(0, quote));
  const head = ip({ from: gateway, to: addresses.a, protocol: 1, payload: message });
  // A packet that is long enough keeps its length, and what is not written over.
  const rest = packet.length >= head.length && quote === 68 ? packet.subarray(head.length) : packet.subarray(quote);
  return Buffer.concat([ethernet(gatewayMac, macOf('a'), ethertype.ip4, head), rest]);
};
const dropped = { action: 'drop' } as const;

const sending: Case[] = [
  {
    name: 'a first packet asks a divider',
    rows: h1,
    packet: () => sent('d'),
    verdict: 'ask_data',
    action: 'redirect',
    expected: () =>
      out(
        between('h1', 'h3', {
          sourcePort: flowPort(datagram('d', 63)),
          options: option('d'),
          inner: routed('d', gatewayMac),
        }),
      ),
  },
  {
    name: 'who knows the subnet asks its bouncer',
    rows: () => [...hostRows('h1', ['h3'], all), ...otherRows('h1', { dividers: ['h3'], bouncers: ['h4'] })],
    packet: () => sent('d'),
    verdict: 'ask_data',
    action: 'redirect',
    expected: () =>
      out(
        between('h1', 'h4', {
          sourcePort: flowPort(datagram('d', 63)),
          options: option('d', { subnet: otherSubnet }),
          inner: routed('d', gatewayMac),
        }),
      ),
  },
  {
    name: 'a known path is direct, one hop and the gateway’s address later',
    rows: () => [...h1(), known('d', 'h2')],
    packet: () => sent('d'),
    verdict: 'direct',
    action: 'redirect',
    expected: () =>
      out(between('h1', 'h2', { sourcePort: flowPort(datagram('d', 63)), inner: routed('d', macOf('d')) })),
  },
  {
    name: 'an endpoint of another subnet on the same host',
    rows: () => [...h1(), endpointRow('d', 2)],
    packet: () => sent('d'),
    verdict: 'local',
    action: 'redirect',
    expected: () => routed('d', macOf('d')),
  },
  {
    name: 'hops used up at the gateway',
    rows: () => [...h1(), known('d', 'h2')],
    packet: () => sent('d', 1),
    verdict: 'time_exceeded',
    action: 'redirect',
    expected: () => error(11, 0, 0, datagram('d', 1)),
  },
  {
    name: 'in the own subnet hops do not matter',
    rows: () => [...h1(), known('b', 'h2')],
    packet: () => ethernet(macOf('a'), macOf('b'), ethertype.ip4, datagram('b', 1)),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'an address the divider knew nothing of a moment ago',
    rows: () => [...h1(), pathRow({ about: 'y', state: 2, told_ms_ago: 0 })],
    packet: () => sent('y'),
    verdict: 'unreachable',
    action: 'redirect',
    expected: () => error(3, 1, 0, datagram('y', 63)),
  },
  {
    name: 'a divider of its own VPC knows that nothing is there',
    rows: () => divider('h1', ['h1']),
    packet: () => sent('10.9.9.9'),
    verdict: 'unreachable',
    action: 'redirect',
    expected: () => error(3, 1, 0, datagram('10.9.9.9', 63)),
  },
  {
    name: 'no error about an error',
    rows: () => [...h1(), pathRow({ about: 'y', state: 2, told_ms_ago: 0 })],
    packet: () =>
      ethernet(
        macOf('a'),
        gatewayMac,
        ethertype.ip4,
        ip({ from: addresses.a, to: addresses.y, protocol: 1, payload: icmpError(3, 3, 0, datagram('a')) }),
      ),
    verdict: 'unknown_address',
    ...dropped,
  },
  {
    name: 'nor about a fragment behind the first',
    rows: () => [...h1(), pathRow({ about: 'y', state: 2, told_ms_ago: 0 })],
    packet: () =>
      ethernet(
        macOf('a'),
        gatewayMac,
        ethertype.ip4,
        ip({ from: addresses.a, to: addresses.y, protocol: 17, fragment: 100, payload: bytes }),
      ),
    verdict: 'unknown_address',
    ...dropped,
  },
  {
    name: 'who was told often enough hears no more of hops',
    rows: () => h1().map((one) => (one.map === 'budgets' ? { ...one, value: Buffer.alloc(16, 0x7f) } : one)),
    packet: () => sent('d', 1),
    verdict: 'expired',
    ...dropped,
  },
  {
    name: 'nor of sizes',
    rows: () => h1().map((one) => (one.map === 'budgets' ? { ...one, value: Buffer.alloc(16, 0x7f) } : one)),
    packet: () => ethernet(macOf('a'), gatewayMac, ethertype.ip4, datagram('d', 64, Buffer.alloc(mtu))),
    verdict: 'too_big',
    ...dropped,
  },
  {
    name: 'too big for the tunnel: the size that fits is told',
    rows: h1,
    packet: () => ethernet(macOf('a'), gatewayMac, ethertype.ip4, datagram('d', 64, Buffer.alloc(mtu, 1))),
    verdict: 'fragment_needed',
    action: 'redirect',
    expected: () => error(3, 4, mtu, datagram('d', 64, Buffer.alloc(mtu, 1))),
  },
];

const question = (fields: Partial<PathOption> = {}, about: EndpointName = 'd') =>
  between('h1', 'h3', { options: option(about, fields), inner: routed(about, gatewayMac) });
const answer = (from: HostName, to: HostName, fields: Partial<PathOption>, about: EndpointName = 'd') =>
  tunnel({
    fromMac: hostMac('h1'),
    toMac: hostMac('h3'),
    from: hosts[from],
    to: hosts[to],
    vni,
    options: option(about, fields),
    inner: routed(about, gatewayMac),
  });

const dividing: Case[] = [
  {
    name: 'a divider passes on to the subnet’s bouncer, whose table it names',
    rows: () => divider('h3'),
    packet: () => question(),
    verdict: 'forwarded',
    action: 'redirect',
    after: (datapath) => expect(datapath.counts()).toEqual({ 'nic/forwarded': 1 }),
  },
  {
    name: 'one that is a bouncer too goes straight to the endpoint’s host',
    rows: () => [...hostRows('h3', ['h3'], all), ...otherRows('h3', { dividers: ['h3'], bouncers: ['h3', 'h4'] })],
    packet: () => question(),
    verdict: 'forwarded',
    action: 'redirect',
    expected: () => answer('h3', 'h2', { hops: 1 }),
  },
  {
    name: 'no route: there is no such address',
    rows: () => divider('h3').filter(({ map }) => map !== 'routes'),
    packet: () => question(),
    verdict: 'answered_none',
    action: 'redirect',
    expected: () => answer('h3', 'h1', { op: op.none }),
  },
  {
    name: 'no route, but cut off: another divider is asked',
    rows: () => divider('h3', ['h3', 'h4'], false).filter(({ map }) => map !== 'routes'),
    packet: () => question(),
    verdict: 'forwarded',
    action: 'redirect',
    expected: () => answer('h3', 'h4', { hops: 1, flags: flag.second }),
  },
  {
    name: 'no divider at all',
    rows: () => hostRows('h3', ['h3'], all).filter(({ map }) => map !== 'slots' && map !== 'holdings'),
    packet: () => between('h4', 'h3', { options: option('d', { hops: 1 }), inner: routed('d', gatewayMac) }),
    verdict: 'not_holder',
    ...dropped,
  },
  {
    name: 'passed on too often',
    rows: () => divider('h3'),
    packet: () => between('h4', 'h3', { options: option('d', { hops: 4 }), inner: routed('d', gatewayMac) }),
    verdict: 'hops',
    ...dropped,
  },
  {
    name: 'no holder of the slot any more: who has a newer table passes on',
    rows: () => [...hostRows('h3', ['h2'], all).filter(({ map }) => map !== 'holdings')],
    packet: () => between('h1', 'h3', { options: option('x', { subnet, epoch: 2 }), inner: routed('x', gatewayMac) }),
    verdict: 'forwarded',
    action: 'redirect',
    expected: () => answer('h3', 'h2', { subnet, epoch: 3, hops: 1 }, 'x'),
  },
  {
    name: 'no holder, and the asker’s table is as new',
    rows: () => [...hostRows('h3', ['h2'], all).filter(({ map }) => map !== 'holdings')],
    packet: () =>
      between('h4', 'h3', { options: option('x', { subnet, epoch: 3, hops: 1 }), inner: routed('x', gatewayMac) }),
    verdict: 'not_holder',
    ...dropped,
  },
];

const back: Case[] = [
  {
    name: 'there is no such address: the endpoint is told',
    rows: () => [...h1(), pathRow({ about: 'y', state: 0, told_ms_ago: 5, asks: 1 })],
    packet: () => between('h3', 'h1', { options: option('y', { op: op.none }), inner: routed('y', gatewayMac) }),
    verdict: 'unreachable',
    action: 'redirect',
    expected: () => error(3, 1, 0, datagram('y', 63)),
    after: (datapath) => expect(datapath.get('paths', { vni, ip: addressOf('y') })).toMatchObject({ state: 2 }),
  },
  {
    name: 'the endpoint that asked is gone',
    rows: () => [
      ...h1().filter(({ map }) => map !== 'endpoints'),
      pathRow({ about: 'y', state: 0, told_ms_ago: 5, asks: 1 }),
    ],
    packet: () => between('h3', 'h1', { options: option('y', { op: op.none }), inner: routed('y', gatewayMac) }),
    verdict: 'told_none',
    action: 'drop',
  },
];

runTable('endpoint', 'endpoint: other subnets', sending);
runTable('nic', 'nic: dividers', dividing);
runTable('nic', 'nic: answers of dividers', back);
