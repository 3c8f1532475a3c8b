// Behaviours 23 to 25: what is forged, by a tenant or on the underlay, has no effect but a counter, and odd packets have a
// verdict each.
import { maps } from '@megrez/abi';
import type { Endpoint } from '@megrez/model';
import { formatAddress, formatMac } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, quiet, type TestCluster, up } from './harness/cluster';
import {
  arp,
  capture,
  checksum,
  echoRequest,
  ethernet,
  everyone,
  type Frame,
  geneve,
  inject,
  injectCounted,
  ip4,
  ipPacket,
  mac,
  op,
  type PathOption,
  pathOption,
  udp,
} from './harness/frames';
import { type Counters, counters, dropsOf, rows } from './harness/observe';
import { allOf, datagrams, ping } from './harness/traffic';

let cluster: TestCluster;
let a: Endpoint;
let b: Endpoint;
/** The only endpoint of another VPC, on h2. */
let foreign: Endpoint;
/** Link addresses of the hosts' underlay interfaces. */
const links = new Map<string, string>();

const attacker = { device: 'attacker', mac: '02:00:00:00:66:66', ip: '192.168.240.200' };
const gatewayMac = '02:4d:67:77:00:01';

beforeAll(async () => {
  cluster = await up({ hosts: 3 });
  await createVpc(cluster, 'acme');
  await createVpc(cluster, 'evil');
  await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3']);
  await createSubnet(cluster, 'evil', 'web', '10.0.1.0/24', ['h2']);
  a = await createEndpoint(cluster, 'acme', 'web', 'a', 'h1');
  b = await createEndpoint(cluster, 'acme', 'web', 'b', 'h2');
  foreign = await createEndpoint(cluster, 'evil', 'web', 'x', 'h2', { ip: a.ip });
  await quiet(cluster, a, b, foreign);
  for (const host of cluster.hosts.keys()) {
    links.set(host, (await cluster.must({ host }, ['cat', '/sys/class/net/eth0/address'])).trim());
  }
  await cluster.must(
    'underlay',
    ['ip', '-batch', '-'],
    `link add ${attacker.device} address ${attacker.mac} type veth peer name attackerp
     link set attackerp master underlay up
     link set ${attacker.device} up
    `,
  );
  // Both hosts know a path.
  await ping(cluster, { endpoint: a }, b.ip);
});

afterAll(() => cluster?.down());

/** No test may have harmed the two. */
async function talk(): Promise<void> {
  expect(await ping(cluster, { endpoint: a }, b.ip)).toEqual(allOf(10));
  expect(await ping(cluster, { endpoint: b }, a.ip)).toEqual(allOf(10));
}

/** An echo reply that nobody asked for: it is delivered and never answered. */
const packetFrom = (source: string, destination: string, more = {}): Buffer => {
  const body = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('forged')]);
  body.writeUInt16BE(checksum(body), 2);
  return ipPacket({ source, destination, protocol: 1, body, ...more });
};

const isForged = ({ bytes, direction }: Frame) => direction === 'in' && bytes.includes('forged');

describe('23: spoofed by a tenant', () => {
  const cases: readonly (readonly [string, () => readonly Buffer[], Counters])[] = [
    [
      'source address of another endpoint, of no one, of the gateway',
      () =>
        [b.ip, '10.0.1.99', '10.0.1.1', '0.0.0.0'].map((ip) => ethernet(b.mac, a.mac, 0x0800, packetFrom(ip, b.ip))),
      { 'endpoint/spoofed_ip': 4 },
    ],
    [
      'source MAC of another endpoint, of no one, of everyone',
      () => [b.mac, '02:11:22:33:44:55', everyone].map((from) => ethernet(b.mac, from, 0x0800, packetFrom(a.ip, b.ip))),
      { 'endpoint/spoofed_mac': 3 },
    ],
    [
      'ARP sender: address, MAC',
      () => [
        arp({ operation: 'request', senderMac: a.mac, sender: b.ip, target: '10.0.1.99' }),
        arp({ operation: 'reply', senderMac: a.mac, sender: '10.0.1.1', target: b.ip }),
        arp({ operation: 'request', senderMac: b.mac, sender: a.ip, target: b.ip, from: a.mac }),
      ],
      { 'endpoint/spoofed_arp': 3 },
    ],
    [
      'ARP in the frame of another',
      () => [arp({ operation: 'request', senderMac: a.mac, sender: a.ip, target: b.ip, from: b.mac })],
      { 'endpoint/spoofed_mac': 1 },
    ],
  ];
  test.for(cases)('%s: dropped and counted', async ([, frames, expected]) => {
    const target = await capture(cluster, { endpoint: b }, 'eth0');
    const wire = await capture(cluster, 'underlay', 'h1');
    const drops = await dropsOf(cluster, 'h1');
    await injectCounted(cluster, { endpoint: a }, 'eth0', frames(), { h1: expected });
    // By VNI, too.
    for (const [name, value = 0] of Object.entries(expected)) {
      const key = `${a.vni}/${name.slice('endpoint/'.length)}`;
      expect(((await dropsOf(cluster, 'h1'))[key] ?? 0) - (drops[key] ?? 0)).toBe(value);
    }
    expect((await target.finish()).filter(({ direction }) => direction === 'in')).toEqual([]);
    expect((await wire.finish()).filter(({ bytes }) => bytes.includes('forged'))).toEqual([]);
  });

  test('what is not spoofed passes the same way', async () => {
    const target = await capture(cluster, { endpoint: b }, 'eth0');
    const frame = ethernet(b.mac, a.mac, 0x0800, packetFrom(a.ip, b.ip));
    await inject(cluster, { endpoint: a }, 'eth0', [frame]);
    await expect.poll(() => target.seen().filter(isForged).length).toBe(1);
    await target.finish();
    await talk();
  });
});

interface Forgery {
  readonly to?: string;
  readonly source?: string;
  readonly vni?: number;
  readonly options?: Buffer;
  /** Words of options that the header claims. */
  readonly words?: number;
  readonly inner?: Buffer;
  /** Bytes of the frame that are sent. */
  readonly length?: number;
}

/** Geneve from the attacker's port to a host. */
function forge({ to = 'h1', source, vni = a.vni, options = Buffer.alloc(0), words, inner, length }: Forgery): Buffer {
  const data = inner ?? ethernet(a.mac, b.mac, 0x0800, packetFrom(b.ip, a.ip));
  const body = udp(49_999, 6081, geneve(vni, options, data, words));
  const destination = cluster.hosts.get(to) ?? '';
  const packet = ipPacket({ source: source ?? cluster.hosts.get('h2') ?? '', destination, protocol: 17, body });
  const frame = ethernet(links.get(to) ?? '', attacker.mac, 0x0800, packet);
  if (length === undefined) {
    return frame;
  }
  // Cut short, with outer lengths that say so: the stack would take it.
  frame.writeUInt16BE(length - 14, 16);
  frame.writeUInt16BE(length - 34, 38);
  frame.writeUInt16BE(0, 24);
  const header = frame.subarray(14, 34);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) {
    sum += header.readUInt16BE(i);
  }
  frame.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 24);
  return frame.subarray(0, length);
}

const path = (of: Partial<PathOption> & { readonly op: number }) =>
  pathOption({ host: attacker.ip, mac: attacker.mac, generation: 0x7fff_ffff_ffffn, cookie: 0x1234n, ...of });

const arpReplyAbout = (target: Endpoint, to: Endpoint) =>
  arp({ operation: 'reply', senderMac: attacker.mac, sender: target.ip, targetMac: to.mac, target: to.ip, to: to.mac });

const dataTo = (target: Endpoint, from: Endpoint) =>
  ethernet(target.mac, from.mac, 0x0800, packetFrom(from.ip, target.ip));

const vlanTag = (frame: Buffer, type = 0x8100) =>
  Buffer.concat([frame.subarray(0, 12), Buffer.from([type >> 8, type & 255, 0, 7]), frame.subarray(12)]);

/** What a host believes, without the times at which it was told. */
async function pathsOf(host: string): Promise<readonly string[]> {
  const all = await rows(cluster, host, 'paths');
  return all
    .map(({ value }) => maps.paths.value.decode(value))
    .map(({ key, state, host, generation, mac }) =>
      [key.vni, formatAddress(key.ip), state, formatAddress(host), generation, formatMac(mac)].join(' '),
    )
    .sort();
}

describe('24: forged on the underlay', () => {
  const cases: readonly (readonly [string, () => Forgery, Counters])[] = [
    ['data from outside the underlay', () => ({ source: '203.0.113.9' }), { 'nic/forged_source': 1 }],
    [
      'an answer from outside the underlay',
      () => ({ source: '203.0.113.9', options: path({ op: op.tell }), inner: dataTo(b, a) }),
      { 'nic/forged_source': 1 },
    ],
    [
      'TELL with a wrong cookie',
      () => ({ options: path({ op: op.tell }), inner: dataTo(b, a) }),
      { 'nic/forged_cookie': 1 },
    ],
    [
      'TELL with an ARP reply and a wrong cookie',
      () => ({ options: path({ op: op.tell }), inner: arpReplyAbout(b, a) }),
      { 'nic/forged_cookie': 1 },
    ],
    [
      'NONE with a wrong cookie',
      () => ({ options: path({ op: op.none }), inner: dataTo(b, a) }),
      { 'nic/forged_cookie': 1 },
    ],
    [
      'TELL in a VNI that the host does not know',
      () => ({ vni: foreign.vni, options: path({ op: op.tell }), inner: dataTo(b, a) }),
      { 'nic/forged_cookie': 1 },
    ],
    ['data for an address that is on another host', () => ({ inner: dataTo(b, a) }), { 'nic/answered_gone': 1 }],
    [
      'data in a VNI whose endpoint of that address is elsewhere',
      () => ({ to: 'h3', inner: dataTo(a, b) }),
      { 'nic/answered_gone': 1 },
    ],
    [
      'ASK that wants its answer sent to somebody else',
      () => ({ options: path({ op: op.ask }), inner: dataTo(a, b) }),
      { 'nic/forged_host': 1 },
    ],
    [
      'ASK passed on, in the name of a host outside the underlay',
      () => ({ options: path({ op: op.ask, host: '203.0.113.9', hops: 1 }), inner: dataTo(a, b) }),
      { 'nic/forged_host': 1 },
    ],
    [
      'ASK about a subnet that the host knows nothing of',
      () => ({ options: path({ op: op.ask, host: '192.168.240.12', subnet: 99 }), inner: dataTo(b, a) }),
      { 'nic/answered_gone': 1 },
    ],
    [
      'an operation that does not exist',
      () => ({ options: path({ op: 99 }), inner: dataTo(a, b) }),
      { 'nic/unknown_op': 1 },
    ],
    [
      'a critical option that is not known',
      () => ({ options: Buffer.from('ff4dff0100000000', 'hex') }),
      { 'nic/unknown_option': 1 },
    ],
    [
      'an option longer than the options',
      () => ({ options: Buffer.from('ff4d021f00000000', 'hex') }),
      { 'nic/bad_option': 1 },
    ],
    [
      'a path option of absurd length',
      () => ({ options: Buffer.concat([Buffer.from('ff4d811e', 'hex'), Buffer.alloc(120)]) }),
      { 'nic/bad_option': 1 },
    ],
    [
      'two path options',
      () => ({ options: Buffer.concat([path({ op: op.tell }), path({ op: op.tell })]) }),
      { 'nic/bad_option': 1 },
    ],
    [
      'more options than a packet of ours has',
      () => ({ options: Buffer.concat(Array.from({ length: 9 }, () => Buffer.from('ff4d0200', 'hex'))) }),
      { 'nic/bad_option': 1 },
    ],
    [
      'options that reach past the end of the packet',
      () => ({ options: Buffer.from('ff4d021e', 'hex'), words: 63, inner: Buffer.alloc(20) }),
      { 'nic/malformed': 1 },
    ],
    ['the inner frame cut off in its Ethernet header', () => ({ length: 60 }), { 'nic/malformed': 1 }],
    ['the inner frame cut off in its IP header', () => ({ length: 80 }), { 'nic/malformed': 1 }],
    ['the inner packet cut off', () => ({ length: 94 }), { 'nic/malformed': 1 }],
    ['an inner VLAN tag', () => ({ inner: vlanTag(dataTo(a, b)) }), { 'nic/vlan': 1 }],
    [
      'an inner frame of another protocol',
      () => ({ inner: ethernet(a.mac, b.mac, 0x88cc, Buffer.alloc(50)) }),
      { 'nic/ethertype': 1 },
    ],
    [
      'to the bouncer: ASK in the name of another',
      () => ({
        to: 'h3',
        options: path({ op: op.ask }),
        inner: arp({ operation: 'request', senderMac: b.mac, sender: b.ip, target: a.ip }),
      }),
      { 'bouncer/forged_host': 1 },
    ],
    [
      'to the bouncer: from outside the underlay',
      () => ({ to: 'h3', source: '203.0.113.9', options: path({ op: op.ask }) }),
      { 'bouncer/forged_source': 1 },
    ],
    [
      'to the bouncer: absurd options',
      () => ({ to: 'h3', options: Buffer.from('ff4d811f00000000', 'hex') }),
      { 'bouncer/bad_option': 1 },
    ],
    [
      'to the bouncer: data passed on too often',
      () => ({ to: 'h3', options: path({ op: op.ask, host: '192.168.240.12', hops: 4 }), inner: dataTo(a, b) }),
      { 'nic/hops': 1 },
    ],
  ];

  test.for(cases)('%s: no effect but a counter', async ([, forgery, expected]) => {
    const to = forgery().to ?? 'h1';
    const before = { h1: await pathsOf('h1'), h2: await pathsOf('h2') };
    const victim = await capture(cluster, { endpoint: a }, 'eth0');
    await injectCounted(cluster, 'underlay', attacker.device, [forge(forgery())], { [to]: expected });
    expect((await victim.finish()).filter(({ direction }) => direction === 'in')).toEqual([]);
    expect({ h1: await pathsOf('h1'), h2: await pathsOf('h2') }).toEqual(before);
  });

  test('data in a VNI that no endpoint of the host is in: left to the stack, not delivered', async () => {
    const victims = await Promise.all([a, b].map((endpoint) => capture(cluster, { endpoint }, 'eth0')));
    const passed = async () => (await counters(cluster, 'h1'))['nic/pass'] ?? 0;
    const before = await passed();
    const frames = [foreign.vni, 0xfffff0, 0].map((vni) => forge({ vni }));
    await inject(cluster, 'underlay', attacker.device, frames);
    await expect.poll(async () => (await passed()) - before).toBeGreaterThanOrEqual(3);
    for (const victim of victims) {
      expect((await victim.finish()).filter(isForged)).toEqual([]);
    }
  });

  test('the paths that all this was about do exist, and still work', async () => {
    expect(foreign.vni).not.toBe(a.vni);
    expect((await pathsOf('h1')).some((path) => path.includes(b.ip))).toBe(true);
    const wire = await capture(cluster, 'underlay', 'attackerp');
    await talk();
    const flow = await datagrams(cluster, a, b, { rate: 1000, count: 500 });
    expect(await flow.finish()).toMatchObject({ sent: 500, lost: 0, duplicated: 0, misdelivered: 0 });
    expect((await wire.finish()).filter(({ bytes }) => bytes[23] === 17)).toEqual([]);
  });

  test('what is forged here would be delivered from the right place', async () => {
    // The same frame with nothing wrong but its sender's wire: the underlay itself is trusted (RFC 8926, section 6).
    const victim = await capture(cluster, { endpoint: a }, 'eth0');
    await injectCounted(cluster, 'underlay', attacker.device, [forge({})], { h1: { 'nic/delivered': 1 } });
    expect((await victim.finish()).filter(isForged)).toHaveLength(1);
  });
});

describe('25: odd packets of a tenant', () => {
  const plain = (more = {}) => ethernet(b.mac, a.mac, 0x0800, packetFrom(a.ip, b.ip, more));
  const to = (ip: string) => ethernet(gatewayMac, a.mac, 0x0800, packetFrom(a.ip, ip));
  const shortArp = () => arp({ operation: 'request', senderMac: a.mac, sender: a.ip, target: b.ip }).subarray(0, 40);
  const oddArp = (at: number, value: number) => {
    const frame = arp({ operation: 'request', senderMac: a.mac, sender: a.ip, target: b.ip });
    frame[at] = value;
    return frame;
  };
  const cases: readonly (readonly [string, () => readonly Buffer[], Counters])[] = [
    ['VLAN tags', () => [vlanTag(plain()), vlanTag(plain(), 0x88a8)], { 'endpoint/vlan': 2 }],
    [
      'IPv6, LLDP, a length instead of a type',
      () => [0x86dd, 0x88cc, 0x0040].map((type) => ethernet(b.mac, a.mac, type, Buffer.alloc(64))),
      { 'endpoint/malformed': 1, 'endpoint/ethertype': 2 },
    ],
    ['another IP version', () => [plain({ version: 5 }), plain({ version: 6 })], { 'endpoint/malformed': 2 }],
    ['a header too short for itself', () => [plain({ ihl: 4 }), plain({ ihl: 0 })], { 'endpoint/malformed': 2 }],
    [
      'a total length that is not there, or shorter than the header',
      () => [plain({ length: 1200 }), plain({ length: 19 }), plain({ length: 0 })],
      { 'endpoint/malformed': 3 },
    ],
    ['cut off', () => [plain().subarray(0, 20), plain().subarray(0, 33), shortArp()], { 'endpoint/malformed': 3 }],
    [
      'ARP for other hardware, other protocols, other lengths, other operations',
      () => [oddArp(15, 6), oddArp(16, 9), oddArp(18, 8), oddArp(19, 16), oddArp(21, 3)],
      { 'endpoint/malformed': 5 },
    ],
    ['multicast', () => [to('224.0.0.1'), to('239.1.2.3')], { 'endpoint/multicast': 2 }],
    ['broadcast', () => [to('255.255.255.255'), to('10.0.1.255')], { 'endpoint/broadcast': 2 }],
    ['to itself', () => [to(a.ip)], { 'endpoint/to_self': 1 }],
    ['to the gateway, and no ping', () => [to('10.0.1.1')], { 'endpoint/to_gateway': 1 }],
    [
      'outside every subnet, which its host, a divider, knows',
      () => [to('10.0.9.1'), to('192.0.2.1'), to('127.0.0.1')],
      { 'endpoint/unreachable': 3 },
    ],
  ];
  test.for(cases)('%s', async ([, frames, expected]) => {
    const target = await capture(cluster, { endpoint: b }, 'eth0');
    await injectCounted(cluster, { endpoint: a }, 'eth0', frames(), { h1: expected });
    expect((await target.finish()).filter(({ direction }) => direction === 'in')).toEqual([]);
  });

  test('IP options are carried', async () => {
    const target = await capture(cluster, { endpoint: b }, 'eth0');
    const options = Buffer.from('0101010107070400', 'hex');
    await inject(cluster, { endpoint: a }, 'eth0', [plain({ options: Buffer.alloc(4, 1) }), plain({ options })]);
    await expect.poll(() => target.seen().filter(isForged).length).toBe(2);
    const seen = (await target.finish()).filter(isForged);
    expect(seen.map(({ bytes }) => bytes[14])).toEqual([0x46, 0x47]);
    expect(seen[1]?.bytes.subarray(34, 42)).toEqual(options);
  });

  test('fragments: large pings and datagrams pass, both ways', async () => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(await ping(cluster, { endpoint: from }, to.ip, { count: 5, size: 8000 })).toEqual(allOf(5));
      const flow = await datagrams(cluster, from, to, { rate: 500, count: 200, size: 9000 });
      expect(await flow.finish()).toEqual(
        expect.objectContaining({ sent: 200, refused: 0, lost: 0, duplicated: 0, misdelivered: 0 }),
      );
    }
  });

  test('a fragment of its own, and the whole of it, keep their bytes', async () => {
    const target = await capture(cluster, { endpoint: b }, 'eth0');
    const piece = plain({ fragment: 0x2001 });
    await inject(cluster, { endpoint: a }, 'eth0', [piece]);
    await expect.poll(() => target.seen().filter(isForged).length).toBe(1);
    const [seen] = (await target.finish()).filter(isForged);
    expect(seen?.bytes.subarray(14)).toEqual(piece.subarray(14));
  });

  test('64-byte and full-size pings pass with DF set; one byte more is refused by the endpoint itself', async () => {
    const mtu = Number(
      (await cluster.must({ endpoint: a }, ['ip', '-o', 'link', 'show', 'eth0'])).match(/mtu (\d+)/)?.[1],
    );
    const df = async (size: number) =>
      ping(cluster, { endpoint: a }, b.ip, { count: 5, size, df: true, patience_ms: 2000 });
    expect(await df(22)).toEqual(allOf(5));
    expect(await df(mtu - 28)).toEqual(allOf(5));
    expect(await df(mtu - 27)).toMatchObject({ received: 0 });
  });

  test('an echo request made by hand is answered', async () => {
    const asker = await capture(cluster, { endpoint: a }, 'eth0');
    const body = echoRequest(77);
    const packet = ipPacket({ source: a.ip, destination: b.ip, protocol: 1, body });
    await inject(cluster, { endpoint: a }, 'eth0', [ethernet(b.mac, a.mac, 0x0800, packet)]);
    const replies = () => asker.seen().filter(({ direction, bytes }) => direction === 'in' && bytes[23] === 1);
    await expect.poll(() => replies().length).toBe(1);
    await asker.finish();
    const [reply] = replies();
    expect(reply?.bytes.subarray(6, 12)).toEqual(mac(b.mac));
    expect(reply?.bytes.subarray(26, 30)).toEqual(ip4(b.ip));
    expect(reply?.bytes[34]).toBe(0);
  });
});
