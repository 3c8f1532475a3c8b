import { expect, test } from 'vitest';
import { cookie, now_ns } from './cookie';
import {
  checksum,
  ethernet,
  ethertype,
  flag,
  icmpEcho,
  ip,
  noticePort,
  type Outer,
  op,
  option,
  type PathOption,
  path,
  tunnel,
  udp,
} from './frames';
import { type Case, runTable } from './table';
import {
  addresses,
  addressOf,
  arpReply,
  arpRequest,
  type EndpointName,
  endpoint,
  type HostName,
  hostMac,
  hostRow,
  hostRows,
  hosts,
  macOf,
  pathRow,
  type Settings,
  subnet,
  vni,
} from './world';

const all = [endpoint('a', 'h1'), endpoint('b', 'h2'), endpoint('c', 'h1'), endpoint('h', 'h3')];
/** h2 has `b`; h3 is the bouncer. */
const h2 = (settings?: Settings) => hostRows('h2', ['h3'], all, settings);
const h3 = (settings?: Settings) => hostRows('h3', ['h3'], all, settings);
const h1 = (settings?: Settings) => hostRows('h1', ['h3'], all, settings);

const payload = Buffer.from('some bytes that must arrive unchanged');
const datagram = (to: EndpointName, tos = 0): Buffer =>
  ip({ from: addresses.a, to: addresses[to], protocol: 17, tos, payload: udp(1000, 2000, payload) });
const frame = (to: EndpointName, mac = macOf(to), tos = 0): Buffer =>
  ethernet(macOf('a'), mac, ethertype.ip4, datagram(to, tos));
const between = (from: HostName, to: HostName, fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac(from), toMac: hostMac(to), from: hosts[from], to: hosts[to], vni, ...fields });

const cookieOf = (about: EndpointName, ago_ms = 0): bigint =>
  cookie(vni, addresses[about], now_ns() - BigInt(ago_ms) * 1_000_000n);
const ask = (about: EndpointName, fields: Partial<PathOption> = {}): Buffer =>
  path({ op: op.ask, subnet, epoch: 3, cookie: cookieOf(about), host: hosts.h1, ...fields });
const tell = (about: EndpointName, fields: Partial<PathOption> = {}): Buffer =>
  path({
    op: op.tell,
    subnet,
    epoch: 3,
    cookie: cookieOf(about),
    host: hosts.h2,
    generation: 5,
    mac: macOf(about),
    ...fields,
  });

const ip16 = (text: string): Uint8Array =>
  Uint8Array.from([...Array(10).fill(0), 255, 255, ...text.split('.').map(Number)]);
const patched = (packet: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(packet);
  copy[at] = value;
  return copy;
};

const dropped = { action: 'drop' } as const;
const passed = { verdict: 'pass', action: 'next' } as const;
const untouched = (packet: () => Buffer) => ({ packet, expected: packet });

/** After the outer headers of IPv4, the source is rewritten and the hop counter risen. */
const direct: Case[] = [
  {
    name: 'to the endpoint, without a trace of the tunnel',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: frame('b') }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => frame('b'),
  },
  {
    name: 'with the endpoint’s MAC, whatever the sender believed',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: frame('b', macOf('x')) }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => frame('b'),
  },
  {
    name: 'congestion outside shows inside, where the flow can hear it',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: frame('b', macOf('b'), 2), tos: 3 }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => frame('b', macOf('b'), 3),
  },
  {
    name: 'a tag that is not critical does not matter',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: frame('b'), options: option(0x02, Buffer.alloc(4)) }),
    verdict: 'delivered',
    action: 'redirect',
    expected: () => frame('b'),
  },
  {
    name: 'nobody here has the address',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: frame('x') }),
    verdict: 'answered_gone',
    action: 'redirect',
  },
  {
    name: 'a local endpoint without an interface',
    rows: () =>
      hostRows('h2', ['h3'], [{ ...endpoint('b', 'h2'), attachment: { kind: { oneofKind: 'none', none: {} } } }]),
    packet: () => between('h1', 'h2', { inner: frame('b') }),
    verdict: 'not_here',
    ...dropped,
  },
  {
    name: 'ARP is never sent without a question',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: arpRequest('b') }),
    verdict: 'ethertype',
    ...dropped,
  },
  {
    name: 'an inner header that is cut short',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: frame('b').subarray(0, 30) }),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'longer than the packet',
    rows: h2,
    packet: () => resized(between('h1', 'h2', { inner: frame('b') }), 2_000),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'shorter than its own headers',
    rows: h2,
    packet: () => resized(between('h1', 'h2', { inner: frame('b') }), 30),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'a corrupted outer header',
    rows: h2,
    packet: () => patched(between('h1', 'h2', { inner: frame('b') }), 22, 63),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'an inner tag',
    rows: h2,
    packet: () => between('h1', 'h2', { inner: ethernet(macOf('a'), macOf('b'), ethertype.vlan, Buffer.alloc(30)) }),
    verdict: 'vlan',
    ...dropped,
  },
];

const foreign: Case[] = [
  { name: 'no IP', rows: h2, ...untouched(() => arpRequest('b')), ...passed },
  {
    name: 'ICMP of the host itself',
    rows: h2,
    ...untouched(() =>
      ethernet(
        hostMac('h1'),
        hostMac('h2'),
        ethertype.ip4,
        ip({ from: hosts.h1, to: hosts.h2, protocol: 1, payload: icmpEcho(8, payload) }),
      ),
    ),
    ...passed,
  },
  {
    name: 'UDP to another port',
    rows: h2,
    ...untouched(() =>
      ethernet(
        hostMac('h1'),
        hostMac('h2'),
        ethertype.ip4,
        ip({ from: hosts.h1, to: hosts.h2, protocol: 17, payload: udp(5, 53, payload) }),
      ),
    ),
    ...passed,
  },
  {
    name: 'for another host',
    rows: h2,
    ...untouched(() => between('h1', 'h2', { to: hosts.h4, inner: frame('b') })),
    ...passed,
  },
  {
    name: 'a VNI that nobody here uses',
    rows: h2,
    ...untouched(() => between('h1', 'h2', { vni: 8, inner: frame('b') })),
    ...passed,
  },
  {
    name: 'another Geneve version',
    rows: h2,
    ...untouched(() => between('h1', 'h2', { version: 1, inner: frame('b') })),
    ...passed,
  },
  {
    name: 'another payload',
    rows: h2,
    ...untouched(() => between('h1', 'h2', { protocol: 0x0800, inner: frame('b') })),
    ...passed,
  },
  {
    name: 'options of another class',
    rows: h2,
    ...untouched(() => between('h1', 'h2', { options: option(0x81, Buffer.alloc(4), 0x0102), inner: frame('b') })),
    ...passed,
  },
  {
    name: 'a fragment of the underlay',
    rows: h2,
    ...untouched(() => fragmented(between('h1', 'h2', { inner: frame('b') }))),
    ...passed,
  },
];

const forged: Case[] = [
  {
    name: 'data from outside the underlay prefixes',
    rows: h2,
    packet: () => between('h1', 'h2', { from: '192.168.99.1', inner: frame('b') }),
    verdict: 'forged_source',
    ...dropped,
  },
  {
    name: 'an ask for somebody else',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask('b', { host: hosts.h4 }), inner: arpRequest('b') }),
    verdict: 'forged_host',
    ...dropped,
  },
  {
    name: 'an ask, passed on, for somebody outside the underlay',
    rows: h3,
    packet: () => between('h4', 'h3', { options: ask('b', { host: '8.8.8.8', hops: 1 }), inner: arpRequest('b') }),
    verdict: 'forged_host',
    ...dropped,
  },
  {
    name: 'an answer nobody asked for',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b', { cookie: 1n }), inner: arpReply('b') }),
    verdict: 'forged_cookie',
    ...dropped,
    after: (datapath) => expect(datapath.get('paths', { vni, ip: addressOf('b') })).toBeUndefined(),
  },
  {
    name: 'the cookie of another address',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b', { cookie: cookieOf('c') }), inner: arpReply('b') }),
    verdict: 'forged_cookie',
    ...dropped,
  },
  {
    name: 'the cookie of another VPC',
    rows: h1,
    packet: () => between('h3', 'h1', { vni: 8, options: tell('b'), inner: arpReply('b') }),
    verdict: 'forged_cookie',
    ...dropped,
  },
  {
    name: 'a cookie that was good seven seconds ago',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b', { cookie: cookieOf('b', 7_000) }), inner: arpReply('b') }),
    verdict: 'forged_cookie',
    ...dropped,
  },
  {
    name: 'that nobody has the address, unasked',
    rows: h1,
    packet: () =>
      between('h3', 'h1', { options: path({ op: op.none, cookie: 2n, host: hosts.h1 }), inner: arpRequest('b') }),
    verdict: 'forged_cookie',
    ...dropped,
  },
  {
    name: 'a host outside the underlay',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b', { host: '8.8.8.8' }), inner: arpReply('b') }),
    verdict: 'forged_host',
    ...dropped,
  },
  {
    name: 'an op of the future',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b', { op: 9 }), inner: arpReply('b') }),
    verdict: 'unknown_op',
    ...dropped,
  },
  {
    name: 'critical and unknown',
    rows: h2,
    packet: () => between('h1', 'h2', { options: option(0xff, Buffer.alloc(4)), inner: frame('b') }),
    verdict: 'unknown_option',
    ...dropped,
  },
  {
    name: 'a path option of another length',
    rows: h2,
    packet: () => between('h1', 'h2', { options: option(0x81, Buffer.alloc(36)), inner: frame('b') }),
    verdict: 'bad_option',
    ...dropped,
  },
  {
    name: 'two path options',
    rows: h2,
    packet: () => between('h1', 'h2', { options: Buffer.concat([ask('b'), ask('b')]), inner: frame('b') }),
    verdict: 'bad_option',
    ...dropped,
  },
  {
    name: 'an option longer than all of them',
    rows: h2,
    packet: () => between('h1', 'h2', { options: patched(option(0x02, Buffer.alloc(4)), 3, 31), inner: frame('b') }),
    verdict: 'bad_option',
    ...dropped,
  },
  {
    name: 'five options',
    rows: h2,
    packet: () =>
      between('h1', 'h2', { options: Buffer.concat(Array(5).fill(option(0x02, Buffer.alloc(0)))), inner: frame('b') }),
    verdict: 'bad_option',
    ...dropped,
  },
  {
    name: 'options that say they are longer than the packet',
    rows: h2,
    packet: () =>
      between('h1', 'h2', {
        options: Buffer.concat([option(0x02, Buffer.alloc(4)), option(0x02, Buffer.alloc(4))]),
        inner: Buffer.alloc(0),
      }).subarray(0, 52),
    verdict: 'malformed',
    ...dropped,
  },
];

const asked: Case[] = [
  {
    name: 'ARP: the request becomes the reply, and the option its answer',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask('b'), inner: arpRequest('b') }),
    verdict: 'answered',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        from: hosts.h3,
        to: hosts.h1,
        vni,
        options: tell('b'),
        inner: arpReply('b'),
      }),
  },
  {
    name: 'ARP that another holder passed on: answered to its asker',
    rows: h3,
    packet: () => between('h4', 'h3', { options: ask('b', { hops: 1 }), inner: arpRequest('b') }),
    verdict: 'answered',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h4'),
        toMac: hostMac('h3'),
        from: hosts.h3,
        to: hosts.h1,
        vni,
        options: tell('b'),
        inner: arpReply('b'),
      }),
  },
  {
    name: 'ARP for nobody: the asker’s host is told so',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask('x'), inner: arpRequest('x') }),
    verdict: 'answered_none',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        from: hosts.h3,
        to: hosts.h1,
        vni,
        options: ask('x', { op: op.none }),
        inner: arpRequest('x'),
      }),
  },
  {
    name: 'data for nobody',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask('x'), inner: frame('x') }),
    verdict: 'answered_none',
    action: 'redirect',
  },
  {
    name: 'data goes on to the destination’s host, with the question',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask('b'), inner: frame('b') }),
    verdict: 'forwarded',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        from: hosts.h3,
        to: hosts.h2,
        vni,
        options: ask('b', { hops: 1 }),
        inner: frame('b'),
      }),
  },
  {
    name: 'a holder that is cut off calls nothing unknown: its twin is asked',
    rows: () => hostRows('h3', ['h3', 'h4'], all, { attached: false }),
    packet: () => between('h1', 'h3', { options: ask('x'), inner: frame('x') }),
    verdict: 'forwarded',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        from: hosts.h3,
        to: hosts.h4,
        vni,
        options: ask('x', { hops: 1, flags: flag.second }),
        inner: frame('x'),
      }),
  },
  {
    name: 'the twin’s question is not passed back',
    rows: () => hostRows('h3', ['h3', 'h4'], all, { attached: false }),
    packet: () => between('h4', 'h3', { options: ask('x', { hops: 1, flags: flag.second }), inner: frame('x') }),
    verdict: 'not_holder',
    ...dropped,
  },
  {
    name: 'data that was passed on too often',
    rows: h3,
    packet: () => between('h4', 'h3', { options: ask('b', { hops: 4 }), inner: frame('b') }),
    verdict: 'hops',
    ...dropped,
  },
  {
    name: 'data whose mapping names this host, where the endpoint is gone',
    rows: () => h3().filter(({ map }) => map !== 'endpoints'),
    packet: () => between('h1', 'h3', { options: ask('h'), inner: frame('h') }),
    verdict: 'not_here',
    ...dropped,
  },
  {
    name: 'data for a local endpoint without an interface: its asker is told nothing',
    rows: () =>
      hostRows('h2', ['h3'], [{ ...endpoint('b', 'h2'), attachment: { kind: { oneofKind: 'none', none: {} } } }]),
    packet: () => between('h1', 'h2', { options: ask('b'), inner: frame('b') }),
    verdict: 'not_here',
    ...dropped,
    after: (datapath) => expect(datapath.counts()).toEqual({ 'nic/not_here': 1 }),
  },
  {
    name: 'a slot that is not ours, in a subnet we know nothing of',
    rows: () => h3().filter(({ map }) => map !== 'slots' && map !== 'holdings' && map !== 'mappings'),
    packet: () => between('h4', 'h3', { options: ask('b', { hops: 1 }), inner: frame('b') }),
    verdict: 'not_holder',
    ...dropped,
  },
  {
    name: 'a reply is no question',
    rows: h3,
    packet: () => between('h1', 'h3', { options: ask('b'), inner: arpReply('b') }),
    verdict: 'arp_reply',
    ...dropped,
  },
  {
    name: 'data that a bouncer passed on: delivered, and the asker told wherever the routes say',
    rows: () => hostRows('h2', ['h3'], all, {}, () => 1),
    packet: () => between('h3', 'h2', { options: ask('b', { hops: 1 }), inner: frame('b') }),
    verdict: 'delivered_told',
    action: 'redirect',
    expected: () =>
      Buffer.concat([
        frame('b').subarray(0, 14),
        tunnel({
          fromMac: hostMac('h2'),
          toMac: hostMac('h1'),
          from: hosts.h2,
          to: hosts.h1,
          vni,
          sourcePort: noticePort(addresses.b),
          options: tell('b', { epoch: 0, subnet: 0, hops: 1 }),
          inner: frame('b'),
        }).subarray(14),
      ]),
  },
];

const refused: Case[] = [
  {
    name: 'an interface that went away under the packet',
    rows: () => hostRows('h2', ['h3'], all, {}, () => 9_999),
    packet: () => between('h3', 'h2', { options: ask('b', { hops: 1 }), inner: frame('b') }),
    verdict: 'kernel',
    ...dropped,
  },
];

const told: Case[] = [
  {
    name: 'an ARP reply makes a path and reaches the endpoint',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b'), inner: arpReply('b') }),
    verdict: 'told_arp',
    action: 'redirect',
    expected: () => arpReply('b'),
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({
        state: 1,
        host: ip16(hosts.h2),
        generation: 5,
        asks: 0,
      }),
  },
  {
    name: 'a cookie of the window before',
    rows: h1,
    packet: () => between('h3', 'h1', { options: tell('b', { cookie: cookieOf('b', 2_148) }), inner: arpReply('b') }),
    verdict: 'told_arp',
    action: 'redirect',
  },
  {
    name: 'a notice ends here',
    rows: h1,
    packet: () => between('h2', 'h1', { options: tell('b'), inner: frame('b') }),
    verdict: 'told',
    action: 'drop',
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ state: 1, host: ip16(hosts.h2) }),
  },
  {
    name: 'a reply for an endpoint that is gone is still an answer',
    rows: () => h1().filter(({ map }) => map !== 'endpoints'),
    packet: () => between('h3', 'h1', { options: tell('b'), inner: arpReply('b') }),
    verdict: 'told',
    action: 'drop',
  },
  {
    name: 'a newer generation replaces the path',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 30, generation: 5 })],
    packet: () => between('h4', 'h1', { options: tell('b', { host: hosts.h4, generation: 6 }), inner: frame('b') }),
    verdict: 'told',
    action: 'drop',
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ host: ip16(hosts.h4), generation: 6 }),
  },
  {
    name: 'an older one does, once nobody may believe the path any more',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 11_000, generation: 900 })],
    packet: () => between('h4', 'h1', { options: tell('b', { host: hosts.h4, generation: 4 }), inner: frame('b') }),
    verdict: 'told',
    action: 'drop',
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ host: ip16(hosts.h4), generation: 4 }),
  },
  {
    name: 'a renewal says nothing of an owner that owes an answer',
    rows: () => [
      ...h1(),
      pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 5_000, asks: 1, asked: 'h3' }),
      hostRow('h3', { heard_ms_ago: 20_000, asked_ms_ago: 3_000 }),
    ],
    packet: () => between('h2', 'h1', { options: tell('b'), inner: frame('b') }),
    verdict: 'told',
    action: 'drop',
    after: (datapath) => {
      const owner = datapath.get('hosts', { host: ip16(hosts.h3) });
      expect(owner?.asked_at).toBeGreaterThan(owner?.heard_at ?? 0n);
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ asks: 1 });
    },
  },
  {
    name: 'a notice of a question that was passed on says that its owner lives',
    rows: () => [
      ...h1(),
      pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 5_000, asks: 1, asked: 'h3' }),
      hostRow('h3', { heard_ms_ago: 20_000, asked_ms_ago: 3_000 }),
    ],
    packet: () => between('h2', 'h1', { options: tell('b', { hops: 1 }), inner: frame('b') }),
    verdict: 'told',
    action: 'drop',
    after: (datapath) => {
      const owner = datapath.get('hosts', { host: ip16(hosts.h3) });
      expect(owner?.heard_at).toBeGreaterThan(owner?.asked_at ?? 0n);
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ asks: 0 });
    },
  },
  {
    name: 'an older one never does',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 30, generation: 5 })],
    packet: () => between('h4', 'h1', { options: tell('b', { host: hosts.h4, generation: 4 }), inner: frame('b') }),
    verdict: 'stale',
    ...dropped,
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ host: ip16(hosts.h2), generation: 5 }),
  },
  {
    name: 'nobody has the address',
    rows: () => [...h1(), pathRow({ about: 'x', state: 0, told_ms_ago: 30, asks: 1 })],
    packet: () => between('h3', 'h1', { options: ask('x', { op: op.none }), inner: arpRequest('x') }),
    verdict: 'told_none',
    action: 'drop',
    after: (datapath) => expect(datapath.get('paths', { vni, ip: addressOf('x') })).toMatchObject({ state: 2 }),
  },
  {
    name: 'that nobody has it does not undo an answer',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 30 })],
    packet: () => between('h3', 'h1', { options: ask('b', { op: op.none }), inner: arpRequest('b') }),
    verdict: 'stale',
    ...dropped,
  },
];

/** With another total length, and the header's checksum to it. */
const resized = (packet: Buffer, length: number): Buffer => {
  const copy = Buffer.from(packet);
  copy.writeUInt16BE(length, 16);
  copy.writeUInt16BE(0, 24);
  copy.writeUInt16BE(checksum(copy.subarray(14, 34)), 24);
  return copy;
};

const fragmented = (packet: Buffer): Buffer => {
  const copy = patched(patched(packet, 20, 0x20), 21, 0);
  // 0x4000 became 0x2000: the checksum grows by the difference.
  copy.writeUInt16BE((packet.readUInt16BE(24) + 0x2000) % 0xffff, 24);
  return copy;
};

runTable('nic', 'nic: data', direct);
runTable('nic', 'nic: not ours', foreign);
runTable('nic', 'nic: forged', forged);
runTable('nic', 'nic: questions', asked);
runTable('nic', 'nic: what the kernel refuses', refused);
runTable('nic', 'nic: answers', told);

runTable('tunnel', 'tunnel: what the stack took', [
  {
    name: 'somebody else’s inner frame never reaches it',
    rows: () => [],
    packet: () => frame('b'),
    verdict: 'foreign',
    ...dropped,
  },
]);

test('every row above is about one packet', () => {
  const names = [...direct, ...foreign, ...forged, ...asked, ...refused, ...told].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
