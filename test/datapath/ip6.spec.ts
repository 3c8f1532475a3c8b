/** The second family: the same walks, other headers. */
import { parseAddress } from '@megrez/model';
import { type Row, row } from '@megrez/plan';
import { expect } from 'vitest';
import { cookie, now_ns } from './cookie';
import { checksum, ethernet, ethertype, type Outer, op, type PathOption, path, tunnel, udp } from './frames';
import { type Case, runTable } from './table';
import {
  endpoint,
  gatewayMac,
  type HostName,
  hostMac,
  hostRows,
  hosts,
  macBytes,
  macOf,
  mtu,
  port,
  subnet,
  vni,
} from './world';

const ips = {
  a: 'fd00:1::b',
  b: 'fd00:1::c',
  c: 'fd00:1::e',
  x: 'fd00:1::63',
  d: 'fd00:2::15',
  gateway: 'fd00:1::1',
} as const;
const group = '33:33:ff:00:00:0c';
const all = [endpoint('a', 'h1'), endpoint('c', 'h1'), endpoint('b', 'h2')];

const mask64 = Uint8Array.from([...Array(8).fill(255), ...Array(8).fill(0)]);
const reach = {
  ip: parseAddress(ips.a),
  gateway: parseAddress(ips.gateway),
  network: parseAddress('fd00:1::'),
  mask: mask64,
};
const reach4 = {
  ip: parseAddress('10.0.1.11'),
  gateway: parseAddress('10.0.1.1'),
  network: parseAddress('10.0.1.0'),
  mask: Uint8Array.from([...Array(15).fill(255), 0]),
};
const local = (name: 'a' | 'b' | 'c', ifindex = port): Row =>
  row(
    'endpoints',
    { vni, ip: parseAddress(ips[name]) },
    { ifindex, flags: 1, generation: 5, mac: macBytes(macOf(name)) },
  );
/** `a` has both families, its subnet's owner is h3, the VPC's divider h4. */
const h1 = (): readonly Row[] => [
  ...hostRows('h1', ['h3'], all),
  row(
    'ports',
    { ifindex: port },
    { vni, subnet, ip4: reach4, ip6: reach, generation: 5, mac: macBytes(macOf('a')), mtu },
  ),
  local('a'),
  local('c', 2),
  ...owner(0, 'h4'),
  ...owner(subnet, 'h3'),
];
const owner = (number: number, host: HostName): readonly Row[] =>
  Array.from({ length: 256 }, (_, slot) =>
    row(
      'slots',
      { vni, subnet: number, slot },
      { primary: parseAddress(hosts[host]), secondary: new Uint8Array(16), epoch: 3, generation: 4 },
    ),
  );
const h3 = (): readonly Row[] => [
  ...hostRows('h3', ['h3'], all),
  row(
    'mappings',
    { vni, ip: parseAddress(ips.b) },
    { host: parseAddress(hosts.h2), generation: 5, mac: macBytes(macOf('b')) },
  ),
];
const pathTo = (ip: string, name: 'b' | 'x', state: 1 | 2 = 1): Row => {
  const now = now_ns();
  const key = { vni, ip: parseAddress(ip) };
  const times = { told_at: now, asked_at: now, checked_at: now, live_at: now };
  return row('paths', key, {
    key,
    state,
    host: parseAddress(hosts.h2),
    asked: new Uint8Array(16),
    generation: 5,
    ...times,
    mac: macBytes(macOf(name)),
    asks: 0,
  });
};

interface Ip6 {
  readonly from: string;
  readonly to: string;
  readonly next: number;
  readonly payload: Buffer;
  readonly hops?: number;
  readonly length?: number;
}
const ip6 = ({ from, to, next, payload, hops = 64, length = payload.length }: Ip6): Buffer =>
  Buffer.concat([
    Buffer.from([0x60, 0, 0, 0, length >> 8, length & 0xff, next, hops]),
    parseAddress(from),
    parseAddress(to),
    payload,
  ]);
/** An ICMPv6 message with its checksum, which is also over the addresses. */
const icmp6 = (from: string, to: string, message: Buffer, hops = 255): Buffer => {
  const pseudo = Buffer.concat([
    parseAddress(from),
    parseAddress(to),
    Buffer.from([0, 0, 0, message.length, 0, 0, 0, 58]),
  ]);
  const whole = Buffer.from(message);
  whole.writeUInt16BE(checksum(Buffer.concat([pseudo, whole])), 2);
  return ip6({ from, to, next: 58, payload: whole, hops });
};
const solicitation = (target: string, sender = macOf('a'), from: string = ips.a): Buffer =>
  icmp6(
    from,
    'ff02::1:ff00:c',
    Buffer.concat([
      Buffer.from([135, 0, 0, 0, 0, 0, 0, 0]),
      parseAddress(target),
      Buffer.from([1, 1]),
      macBytes(sender),
    ]),
  );
const advertisement = (target: string, mac: string, flags = 0x60, to: string = ips.a): Buffer =>
  icmp6(
    target,
    to,
    Buffer.concat([
      Buffer.from([136, 0, 0, 0, flags, 0, 0, 0]),
      parseAddress(target),
      Buffer.from([2, 1]),
      macBytes(mac),
    ]),
  );
const asks = (target: string): Buffer => ethernet(macOf('a'), group, ethertype.ip6, solicitation(target));
const echo = (type: number, from: string, to: string): Buffer =>
  icmp6(from, to, Buffer.concat([Buffer.from([type, 0, 0, 0, 0, 7, 0, 1]), Buffer.from('is anybody there')]), 64);
const bytes = Buffer.from('six is four with more room');
const datagram = (to: string, hops = 64, payload: Buffer = bytes): Buffer =>
  ip6({ from: ips.a, to, next: 17, hops, payload: udp(1000, 2000, payload) });
const frame = (packet: Buffer, mac: string, from = macOf('a')): Buffer => ethernet(from, mac, ethertype.ip6, packet);
const question = (about: string, fields: Partial<PathOption> = {}): Buffer =>
  path({ op: op.ask, subnet, epoch: 3, cookie: cookie(vni, about, now_ns()), host: hosts.h1, ...fields });
const between = (from: HostName, to: HostName, fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac(from), toMac: hostMac(to), from: hosts[from], to: hosts[to], vni, ...fields });

/** What the gateway says of the packet; behind it stays the rest of what was sent. */
const error = (type: number, code: number, next: number, packet: Buffer): Buffer => {
  const quote = packet.subarray(0, packet.length >= 60 ? 60 : 48);
  const head = Buffer.from([type, code, 0, 0, 0, 0, next >> 8, next & 0xff]);
  const whole = icmp6(ips.gateway, ips.a, Buffer.concat([head, quote]), 64);
  const rest = packet.length >= whole.length ? packet.subarray(whole.length) : packet.subarray(quote.length);
  return Buffer.concat([frame(whole, macOf('a'), gatewayMac), rest]);
};
const dropped = { action: 'drop' } as const;
const redirected = { action: 'redirect' } as const;

const sending: Case[] = [
  {
    name: 'the gateway, which says that it routes',
    rows: h1,
    packet: () => asks(ips.gateway),
    verdict: 'arp_gateway',
    ...redirected,
    expected: () => frame(advertisement(ips.gateway, gatewayMac, 0xe0), macOf('a'), gatewayMac),
  },
  {
    name: 'an endpoint of the same host',
    rows: h1,
    packet: () => asks(ips.c),
    verdict: 'arp_local',
    ...redirected,
    expected: () => frame(advertisement(ips.c, macOf('c')), macOf('a'), macOf('c')),
  },
  {
    name: 'a known path',
    rows: () => [...h1(), pathTo(ips.b, 'b')],
    packet: () => asks(ips.b),
    verdict: 'arp_path',
    ...redirected,
    expected: () => frame(advertisement(ips.b, macOf('b')), macOf('a'), macOf('b')),
  },
  {
    name: 'an unknown neighbour is asked for at the bouncer, by a packet that is addressed to nobody’s group',
    rows: h1,
    packet: () => asks(ips.b),
    verdict: 'ask_arp',
    ...redirected,
    after: (datapath) => expect(datapath.get('paths', { vni, ip: parseAddress(ips.b) })).toMatchObject({ state: 0 }),
  },
  {
    name: 'duplicate address detection is never answered',
    rows: h1,
    packet: () => ethernet(macOf('a'), group, ethertype.ip6, solicitation(ips.a, macOf('a'), '::')),
    verdict: 'arp_self',
    ...dropped,
  },
  {
    name: 'an advertisement that nobody asked for',
    rows: h1,
    packet: () => frame(advertisement(ips.a, macOf('a')), macOf('b')),
    verdict: 'arp_reply',
    ...dropped,
  },
  {
    name: 'a solicitation with another’s link-layer address',
    rows: h1,
    packet: () => ethernet(macOf('a'), group, ethertype.ip6, solicitation(ips.b, macOf('b'))),
    verdict: 'spoofed_arp',
    ...dropped,
  },
  {
    name: 'a solicitation from another’s address',
    rows: h1,
    packet: () => ethernet(macOf('a'), group, ethertype.ip6, solicitation(ips.b, macOf('a'), ips.c)),
    verdict: 'spoofed_arp',
    ...dropped,
  },
  {
    name: 'a solicitation for another subnet',
    rows: h1,
    packet: () => asks(ips.d),
    verdict: 'no_route',
    ...dropped,
  },
  {
    name: 'a solicitation that crossed a router',
    rows: h1,
    packet: () => {
      const packet = asks(ips.b);
      packet[14 + 7] = 254;
      return packet;
    },
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'data on a known path',
    rows: () => [...h1(), pathTo(ips.b, 'b')],
    packet: () => frame(datagram(ips.b), macOf('b')),
    verdict: 'direct',
    ...redirected,
    after: (datapath) => expect(datapath.counts()).toEqual({ 'endpoint/direct': 1 }),
  },
  {
    name: 'an endpoint of the same host gets it as it is',
    rows: h1,
    packet: () => frame(datagram(ips.c), macOf('c')),
    verdict: 'local',
    ...redirected,
    expected: () => frame(datagram(ips.c), macOf('c')),
  },
  {
    name: 'another subnet, through a divider',
    rows: h1,
    packet: () => frame(datagram(ips.d), gatewayMac),
    verdict: 'ask_data',
    ...redirected,
  },
  {
    name: 'its hops are used up at the gateway',
    rows: h1,
    packet: () => frame(datagram(ips.d, 1), gatewayMac),
    verdict: 'time_exceeded',
    ...redirected,
    expected: () => error(3, 0, 0, datagram(ips.d, 1)),
  },
  {
    name: 'larger than the MTU',
    rows: h1,
    packet: () => frame(datagram(ips.b, 64, Buffer.alloc(mtu, 7)), macOf('b')),
    verdict: 'fragment_needed',
    ...redirected,
    expected: () => error(2, 0, mtu, datagram(ips.b, 64, Buffer.alloc(mtu, 7))),
  },
  {
    name: 'an address nobody has',
    rows: () => [...h1(), pathTo(ips.x, 'x', 2)],
    packet: () => frame(datagram(ips.x), macOf('x')),
    verdict: 'unreachable',
    ...redirected,
    expected: () => error(1, 3, 0, datagram(ips.x)),
  },
  {
    name: 'a ping of the gateway',
    rows: h1,
    packet: () => frame(echo(128, ips.a, ips.gateway), gatewayMac),
    verdict: 'ping_gateway',
    ...redirected,
    expected: () => frame(echo(129, ips.gateway, ips.a), macOf('a'), gatewayMac),
  },
  {
    name: 'a group',
    rows: h1,
    packet: () => frame(datagram('ff02::fb'), '33:33:00:00:00:fb'),
    verdict: 'multicast',
    ...dropped,
  },
  {
    name: 'from another’s address',
    rows: h1,
    packet: () => frame(ip6({ from: ips.c, to: ips.b, next: 17, payload: udp(1, 2, bytes) }), macOf('b')),
    verdict: 'spoofed_ip',
    ...dropped,
  },
  {
    name: 'from an IPv4 address in disguise',
    rows: h1,
    packet: () => {
      const packet = datagram(ips.b);
      packet.set(parseAddress('10.0.1.11'), 8);
      return frame(packet, macOf('b'));
    },
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'longer than the frame',
    rows: h1,
    packet: () => frame(ip6({ from: ips.a, to: ips.b, next: 17, payload: udp(1, 2, bytes), length: 900 }), macOf('b')),
    verdict: 'malformed',
    ...dropped,
  },
];

const bouncing: Case[] = [
  {
    name: 'the solicitation becomes the advertisement, and the option its answer',
    rows: h3,
    packet: () => between('h1', 'h3', { options: question(ips.b), inner: asks(ips.b) }),
    verdict: 'answered',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        from: hosts.h3,
        to: hosts.h1,
        vni,
        options: question(ips.b, { op: op.tell, host: hosts.h2, generation: 5, mac: macOf('b') }),
        inner: frame(advertisement(ips.b, macOf('b')), macOf('a'), macOf('b')),
      }),
  },
];

const arriving: Case[] = [
  {
    name: 'an advertisement makes a path and reaches the endpoint',
    rows: h1,
    packet: () =>
      between('h3', 'h1', {
        options: question(ips.b, { op: op.tell, host: hosts.h2, generation: 5, mac: macOf('b') }),
        inner: frame(advertisement(ips.b, macOf('b')), macOf('a'), macOf('b')),
      }),
    verdict: 'told_arp',
    ...redirected,
    expected: () => frame(advertisement(ips.b, macOf('b')), macOf('a'), macOf('b')),
    after: (datapath) => expect(datapath.get('paths', { vni, ip: parseAddress(ips.b) })).toMatchObject({ state: 1 }),
  },
  {
    name: 'data, without a trace of the tunnel',
    rows: () => [...hostRows('h2', ['h3'], all), local('b')],
    packet: () => between('h1', 'h2', { inner: frame(datagram(ips.b), macOf('b')) }),
    verdict: 'delivered',
    ...redirected,
    expected: () => frame(datagram(ips.b), macOf('b')),
  },
  {
    name: 'nobody has the address: the endpoint is told',
    rows: h1,
    packet: () =>
      between('h3', 'h1', { options: question(ips.x, { op: op.none }), inner: frame(datagram(ips.x), macOf('x')) }),
    verdict: 'unreachable',
    ...redirected,
    expected: () => error(1, 3, 0, datagram(ips.x)),
  },
];

runTable('endpoint', 'endpoint: IPv6', sending);
runTable('nic', 'nic: IPv6 lookups', bouncing);
runTable(
  'bouncer',
  'bouncer: IPv6 lookups',
  bouncing.map((one) => ({
    ...one,
    action: 'tx',
    // On this hook the frame goes back to the neighbour it came from at once.
    expected: () => {
      const packet = Buffer.from(one.expected?.() ?? []);
      packet.set(macBytes(hostMac('h1')), 0);
      packet.set(macBytes(hostMac('h3')), 6);
      return packet;
    },
  })),
);
runTable('nic', 'nic: IPv6', arriving);
