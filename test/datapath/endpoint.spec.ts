import { gatewayMac } from '@megrez/model';
import type { Row } from '@megrez/plan';
import { describe, expect, test } from 'vitest';
import { cookie, now_ns, steadyWindow } from './cookie';
import { openDatapath } from './datapath';
import {
  arp,
  askPort,
  broadcastMac,
  ethernet,
  ethertype,
  flowPort,
  type Ip4,
  icmpEcho,
  ip,
  op,
  path,
  tunnel,
  udp,
  zeroMac,
} from './frames';
import { type Case, runTable } from './table';
import {
  addresses,
  addressOf,
  type EndpointName,
  endpoint,
  gateway,
  hostMac,
  hostRows,
  hosts,
  macOf,
  mtu,
  pathRow,
  port,
  type Settings,
  subnet,
  vni,
} from './world';

const all = [endpoint('a', 'h1'), endpoint('b', 'h2'), endpoint('c', 'h1')];
const h1 = (settings?: Settings) => hostRows('h1', ['h3'], all, settings);

const request = (target: string, fields: { sender?: string; senderMac?: string; from?: string } = {}): Buffer =>
  ethernet(
    fields.from ?? macOf('a'),
    broadcastMac,
    ethertype.arp,
    arp({
      operation: 1,
      senderMac: fields.senderMac ?? macOf('a'),
      sender: fields.sender ?? addresses.a,
      targetMac: zeroMac,
      target,
    }),
  );

const reply = (target: string, mac: string): Buffer =>
  ethernet(
    mac,
    macOf('a'),
    ethertype.arp,
    arp({ operation: 2, senderMac: mac, sender: target, targetMac: macOf('a'), target: addresses.a }),
  );

const payload = Buffer.from('twenty-six bytes of text..');
const datagram = (to: string, fields: Partial<Ip4> = {}): Buffer =>
  ip({ from: addresses.a, to, protocol: 17, payload: udp(1000, 2000, payload), ...fields });
const data = (to: EndpointName, fields: Partial<Ip4> = {}, mac = macOf(to)): Buffer =>
  ethernet(macOf('a'), mac, ethertype.ip4, datagram(addresses[to], fields));

const outer = { fromMac: zeroMac, toMac: zeroMac, from: hosts.h1, vni };

/** As it leaves for the underlay. adjust_room keeps the frame's own Ethernet header in front; redirect_neigh writes it. */
const encapsulated = (
  to: 'h2' | 'h3',
  packet: Buffer,
  frameMac: string,
  options?: Buffer,
  innerMac = frameMac,
): Buffer => {
  const inner = ethernet(macOf('a'), innerMac, ethertype.ip4, packet);
  const whole = tunnel({
    ...outer,
    to: hosts[to],
    sourcePort: flowPort(packet),
    tos: packet[1] ?? 0,
    inner,
    ...(options && { options }),
  });
  return Buffer.concat([ethernet(macOf('a'), frameMac, ethertype.ip4, Buffer.alloc(0)), whole.subarray(14)]);
};

const ask = (about: EndpointName, epoch = 0): Buffer =>
  path({ op: op.ask, epoch, subnet, cookie: cookie(vni, addresses[about], now_ns()), host: hosts.h1 });

const dropped = { action: 'drop' } as const;
const known = (about: EndpointName, fields: Partial<Parameters<typeof pathRow>[0]> = {}) =>
  pathRow({ about, host: 'h2', state: 1, told_ms_ago: 0, ...fields });

const arpCases: Case[] = [
  {
    name: 'the gateway, on the spot, with a unicast MAC',
    rows: h1,
    packet: () => request(gateway),
    verdict: 'arp_gateway',
    action: 'redirect',
    expected: () => reply(gateway, gatewayMac),
  },
  {
    name: 'an endpoint of the same host, without leaving it',
    rows: h1,
    packet: () => request(addresses.c),
    verdict: 'arp_local',
    action: 'redirect',
    expected: () => reply(addresses.c, macOf('c')),
  },
  {
    name: 'a known path',
    rows: () => [...h1(), known('b')],
    packet: () => request(addresses.b),
    verdict: 'arp_path',
    action: 'redirect',
    expected: () => reply(addresses.b, macOf('b')),
  },
  {
    name: 'an address of this host’s own slots becomes a path',
    rows: () => hostRows('h1', ['h1'], all),
    packet: () => request(addresses.b),
    verdict: 'arp_owned',
    action: 'redirect',
    expected: () => reply(addresses.b, macOf('b')),
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ state: 1, generation: 5 }),
  },
  {
    name: 'an unknown address goes to the bouncer',
    rows: h1,
    packet: () => request(addresses.b),
    verdict: 'ask_arp',
    action: 'redirect',
    expected: () =>
      tunnel({
        ...outer,
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        to: hosts.h3,
        sourcePort: askPort(vni, hosts.h3),
        options: ask('b', 3),
        inner: request(addresses.b),
      }),
    after: (datapath) =>
      expect(datapath.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ state: 0, asks: 1 }),
  },
  {
    name: 'an expired path is asked for again',
    rows: () => [...h1(), known('b', { told_ms_ago: 10_100 })],
    packet: () => request(addresses.b),
    verdict: 'ask_arp',
    action: 'redirect',
  },
  {
    name: 'a probe without a sender is looked up too; its answer finds the way by the endpoint’s own address',
    rows: h1,
    packet: () => request(addresses.b, { sender: '0.0.0.0' }),
    verdict: 'ask_arp',
    action: 'redirect',
    expected: () =>
      tunnel({
        ...outer,
        fromMac: hostMac('h1'),
        toMac: hostMac('h3'),
        to: hosts.h3,
        sourcePort: askPort(vni, hosts.h3),
        options: ask('b', 3),
        inner: request(addresses.b),
      }),
  },
  {
    name: 'longer than any ARP frame',
    rows: h1,
    packet: () => Buffer.concat([request(addresses.b), Buffer.alloc(30)]),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'the owner is here, and its row is older than what was believed long ago',
    rows: () => [...hostRows('h1', ['h1'], all), known('b', { generation: 900, told_ms_ago: 60_000 })],
    packet: () => request(addresses.b),
    verdict: 'arp_owned',
    action: 'redirect',
  },
  {
    name: 'an address that was said to be nobody’s, 50 ms later',
    rows: () => [...h1(), pathRow({ about: 'x', state: 2, told_ms_ago: 50 })],
    packet: () => request(addresses.x),
    verdict: 'unknown_address',
    ...dropped,
  },
  {
    name: 'the same, 200 ms later, asks again',
    rows: () => [...h1(), pathRow({ about: 'x', state: 2, told_ms_ago: 200 })],
    packet: () => request(addresses.x),
    verdict: 'ask_arp',
    action: 'redirect',
  },
  {
    name: 'an address nobody has, in this host’s own slots',
    rows: () => hostRows('h1', ['h1'], all),
    packet: () => request(addresses.x),
    verdict: 'unknown_address',
    ...dropped,
  },
  {
    name: 'its own slots, but cut off from the controllers and without a twin',
    rows: () => hostRows('h1', ['h1'], all, { attached: false }),
    packet: () => request(addresses.x),
    verdict: 'no_owner',
    ...dropped,
  },
  {
    name: 'no slot table',
    rows: () => h1().filter(({ map }) => map !== 'slots'),
    packet: () => request(addresses.b),
    verdict: 'no_owner',
    ...dropped,
  },
  {
    name: 'the owner’s link address is not known yet',
    rows: () => h1().filter(({ map }) => map !== 'next_hops'),
    packet: () => request(addresses.b),
    verdict: 'no_next_hop',
    ...dropped,
  },
  {
    name: 'outside the subnet',
    rows: h1,
    packet: () => request('10.0.2.7'),
    verdict: 'no_route',
    ...dropped,
  },
  {
    name: 'duplicate address detection is never answered',
    rows: h1,
    packet: () => request(addresses.a, { sender: '0.0.0.0' }),
    verdict: 'arp_self',
    ...dropped,
  },
  { name: 'gratuitous', rows: h1, packet: () => request(addresses.a), verdict: 'arp_self', ...dropped },
  {
    name: 'gratuitous reply',
    rows: h1,
    packet: () =>
      ethernet(
        macOf('a'),
        broadcastMac,
        ethertype.arp,
        arp({ operation: 2, senderMac: macOf('a'), sender: addresses.a, targetMac: broadcastMac, target: addresses.a }),
      ),
    verdict: 'arp_self',
    ...dropped,
  },
  {
    name: 'nobody asked',
    rows: h1,
    packet: () =>
      ethernet(
        macOf('a'),
        macOf('b'),
        ethertype.arp,
        arp({ operation: 2, senderMac: macOf('a'), sender: addresses.a, targetMac: macOf('b'), target: addresses.b }),
      ),
    verdict: 'arp_reply',
    ...dropped,
  },
  {
    name: 'sender address of another',
    rows: h1,
    packet: () => request(addresses.b, { sender: addresses.c }),
    verdict: 'spoofed_arp',
    ...dropped,
  },
  {
    name: 'sender MAC of another',
    rows: h1,
    packet: () => request(addresses.b, { senderMac: macOf('c') }),
    verdict: 'spoofed_arp',
    ...dropped,
  },
  {
    name: 'frame MAC of another',
    rows: h1,
    packet: () => request(addresses.b, { from: macOf('c') }),
    verdict: 'spoofed_mac',
    ...dropped,
  },
  { name: 'cut short', rows: h1, packet: () => request(gateway).subarray(0, 41), verdict: 'malformed', ...dropped },
  {
    name: 'of another link layer',
    rows: h1,
    packet: () => patched(request(gateway), 15, 6),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'neither request nor reply',
    rows: h1,
    packet: () => patched(request(gateway), 21, 3),
    verdict: 'malformed',
    ...dropped,
  },
];

const ipCases: Case[] = [
  {
    name: 'a known path: eight bytes of Geneve, no option',
    rows: () => [...h1(), known('b')],
    packet: () => data('b'),
    verdict: 'direct',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b), macOf('b')),
  },
  {
    name: 'the path’s MAC, whatever the endpoint’s ARP cache says',
    rows: () => [...h1(), known('b')],
    packet: () => data('b', {}, macOf('x')),
    verdict: 'direct',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b), macOf('x'), undefined, macOf('b')),
  },
  {
    name: 'the type of service shows outside',
    rows: () => [...h1(), known('b')],
    packet: () => data('b', { tos: 0xb9 }),
    verdict: 'direct',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b, { tos: 0xb9 }), macOf('b')),
  },
  {
    name: 'IP options stay as they are',
    rows: () => [...h1(), known('b')],
    packet: () => data('b', { options: Buffer.from([7, 3, 4, 0]) }),
    verdict: 'direct',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b, { options: Buffer.from([7, 3, 4, 0]) }), macOf('b')),
  },
  {
    name: 'fragments, the first included, keep to the 3-tuple’s port',
    rows: () => [...h1(), known('b')],
    packet: () => data('b', { fragment: 0x2000, id: 9 }),
    verdict: 'direct',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b, { fragment: 0x2000, id: 9 }), macOf('b')),
  },
  {
    name: 'past the soft lease the packet itself asks',
    rows: () => [...h1(), known('b', { told_ms_ago: 5_100 })],
    packet: () => data('b'),
    verdict: 'direct_ask',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b), macOf('b'), ask('b')),
  },
  {
    name: 'but not again within the retry interval',
    rows: () => [...h1(), known('b', { told_ms_ago: 5_100, asked_ms_ago: 100 })],
    packet: () => data('b'),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'past the hard lease: through the bouncer',
    rows: () => [...h1(), known('b', { told_ms_ago: 10_100 })],
    packet: () => data('b'),
    verdict: 'ask_data',
    action: 'redirect',
    expected: () => encapsulated('h3', datagram(addresses.b), macOf('b'), ask('b', 3)),
  },
  {
    name: 'no path: through the bouncer',
    rows: h1,
    packet: () => data('b'),
    verdict: 'ask_data',
    action: 'redirect',
    expected: () => encapsulated('h3', datagram(addresses.b), macOf('b'), ask('b', 3)),
  },
  {
    name: 'the check of a path that is renewed for ever',
    rows: () => [...h1(), known('b', { checked_ms_ago: 60_100 })],
    packet: () => data('b'),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'a check that the budget does not allow takes nothing away, and is due again half a second later',
    rows: () => [...broke(), known('b', { checked_ms_ago: 60_100 })],
    packet: () => data('b'),
    verdict: 'direct',
    action: 'redirect',
    after: (datapath) => {
      const checked_at = datapath.get('paths', { vni, ip: addressOf('b') })?.checked_at ?? 0n;
      const next_ns = checked_at + 60_000_000_000n - now_ns();
      expect(next_ns).toBeGreaterThan(0n);
      expect(next_ns).toBeLessThanOrEqual(500_000_000n);
    },
  },
  {
    name: 'nor one without a slot table',
    rows: () => [...h1().filter(({ map }) => map !== 'slots'), known('b', { checked_ms_ago: 60_100 })],
    packet: () => data('b'),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'nor one that this host’s own older row would contradict',
    rows: () => [...hostRows('h1', ['h1'], all), known('b', { generation: 9, checked_ms_ago: 60_100 })],
    packet: () => data('b'),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'a path to this host itself, whose endpoint is gone: a bouncer is asked',
    rows: () => [...h1(), known('b', { host: 'h1' })],
    packet: () => data('b'),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'what the host’s own row said is gone: the other owner is asked',
    rows: () => [...hostRows('h1', ['h1', 'h3'], all), pathRow({ about: 'b', host: 'h2', state: 0, told_ms_ago: 100 })],
    packet: () => data('b'),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'an address of this host’s own slots',
    rows: () => hostRows('h1', ['h1'], all),
    packet: () => data('b'),
    verdict: 'direct',
    action: 'redirect',
    expected: () => encapsulated('h2', datagram(addresses.b), macOf('b')),
  },
  {
    name: 'an endpoint of the same host',
    rows: h1,
    packet: () => data('c'),
    verdict: 'local',
    action: 'redirect',
    expected: () => data('c'),
  },
  {
    name: 'the same, with a stale MAC',
    rows: h1,
    packet: () => data('c', {}, macOf('x')),
    verdict: 'local',
    action: 'redirect',
    expected: () => data('c'),
  },
  {
    name: 'a local endpoint without an interface',
    rows: () =>
      hostRows(
        'h1',
        ['h3'],
        [endpoint('a', 'h1'), { ...endpoint('c', 'h1'), attachment: { kind: { oneofKind: 'none', none: {} } } }],
      ),
    packet: () => data('c'),
    verdict: 'not_here',
    ...dropped,
  },
  {
    name: 'the gateway answers ping',
    rows: h1,
    packet: () => ethernet(macOf('a'), gatewayMac, ethertype.ip4, ping(8, addresses.a, gateway)),
    verdict: 'ping_gateway',
    action: 'redirect',
    expected: () => ethernet(gatewayMac, macOf('a'), ethertype.ip4, ping(0, gateway, addresses.a)),
  },
  {
    name: 'and nothing else',
    rows: h1,
    packet: () => ethernet(macOf('a'), gatewayMac, ethertype.ip4, datagram(gateway)),
    verdict: 'to_gateway',
    ...dropped,
  },
  {
    name: 'an address said to be nobody’s',
    rows: () => [...h1(), pathRow({ about: 'x', state: 2, told_ms_ago: 50 })],
    packet: () => data('x'),
    verdict: 'unreachable',
    action: 'redirect',
  },
  {
    name: 'more asks than the budget',
    rows: () => broke(),
    packet: () => data('b'),
    verdict: 'ask_budget',
    ...dropped,
    after: (datapath) => expect(datapath.get('paths', { vni, ip: addressOf('b') })).toBeUndefined(),
  },
  { name: 'to itself', rows: h1, packet: () => data('a'), verdict: 'to_self', ...dropped },
  { name: 'limited broadcast', rows: h1, packet: () => to('255.255.255.255'), verdict: 'broadcast', ...dropped },
  { name: 'the subnet’s broadcast', rows: h1, packet: () => to('10.0.1.255'), verdict: 'broadcast', ...dropped },
  { name: 'a group', rows: h1, packet: () => to('224.0.0.251'), verdict: 'multicast', ...dropped },
  {
    name: 'another subnet, and no divider is known',
    rows: h1,
    packet: () => to('10.0.2.7'),
    verdict: 'no_owner',
    ...dropped,
  },
  {
    name: 'larger than the MTU',
    rows: () => [...h1(), known('b')],
    packet: () => data('b', { payload: Buffer.alloc(mtu - 20 + 1) }),
    verdict: 'fragment_needed',
    action: 'redirect',
  },
  {
    name: 'exactly the MTU',
    rows: () => [...h1(), known('b')],
    packet: () => data('b', { payload: Buffer.alloc(mtu - 20) }),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'source of another',
    rows: h1,
    packet: () => data('b', { from: addresses.c }),
    verdict: 'spoofed_ip',
    ...dropped,
  },
  {
    name: 'MAC of another',
    rows: h1,
    packet: () => ethernet(macOf('c'), macOf('b'), ethertype.ip4, datagram(addresses.b)),
    verdict: 'spoofed_mac',
    ...dropped,
  },
  {
    name: 'an interface without a row',
    rows: () => h1().filter(({ map }) => map !== 'ports'),
    packet: () => data('b'),
    verdict: 'no_port',
    ...dropped,
  },
  {
    name: 'tagged',
    rows: h1,
    packet: () =>
      ethernet(
        macOf('a'),
        macOf('b'),
        ethertype.vlan,
        Buffer.concat([Buffer.from([0, 5, 8, 0]), datagram(addresses.b)]),
      ),
    verdict: 'vlan',
    ...dropped,
  },
  {
    name: 'IPv6 of an endpoint that has none',
    rows: h1,
    packet: () => ethernet(macOf('a'), macOf('b'), ethertype.ip6, Buffer.from([0x60, ...Array(39).fill(0)])),
    verdict: 'ethertype',
    ...dropped,
  },
  { name: 'version 5', rows: h1, packet: () => patched(data('b'), 14, 0x55), verdict: 'malformed', ...dropped },
  {
    name: 'a header of four words',
    rows: h1,
    packet: () => data('b', { headerWords: 4 }),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'longer than the frame',
    rows: h1,
    packet: () => data('b', { length: 200 }),
    verdict: 'malformed',
    ...dropped,
  },
  {
    name: 'shorter than its header',
    rows: h1,
    packet: () => data('b', { length: 19 }),
    verdict: 'malformed',
    ...dropped,
  },
];

const patched = (frame: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(frame);
  copy[at] = value;
  return copy;
};
const ping = (type: 0 | 8, from: string, to: string): Buffer =>
  ip({ from, to, protocol: 1, payload: icmpEcho(type, payload) });
const to = (address: string): Buffer => ethernet(macOf('a'), broadcastMac, ethertype.ip4, datagram(address));
const broke = (): readonly Row[] =>
  h1({ asks_per_s: 1, ask_burst: 0 }).map((one) => (one.map === 'budgets' ? spent(one) : one));
const spent = <T extends { value: Buffer }>(one: T): T => {
  const value = Buffer.alloc(16);
  value.writeBigUInt64LE(now_ns() + 3_600_000_000_000n);
  return { ...one, value };
};

runTable('endpoint', 'endpoint: ARP', arpCases);
runTable('endpoint', 'endpoint: IPv4', ipCases);

describe('endpoint: over several packets', () => {
  test('an owner that stays silent for 50 ms is not asked alone again', async () => {
    const datapath = await openDatapath();
    try {
      await steadyWindow();
      datapath.put(hostRows('h1', ['h3', 'h4'], all));
      const owner = async (): Promise<string> =>
        (await datapath.run('endpoint', request(addresses.b))).packet.subarray(30, 34).join('.');
      const first = await owner();
      expect(await owner()).toBe(first);
      await new Promise((resolve) => setTimeout(resolve, 70));
      expect(new Set([first, await owner()])).toEqual(new Set([hosts.h3, hosts.h4]));
    } finally {
      datapath.close();
    }
  });

  test('owners that were silent for long are still asked in turn', async () => {
    const datapath = await openDatapath();
    try {
      datapath.put([
        ...hostRows('h1', ['h3', 'h4'], all),
        pathRow({ about: 'b', state: 0, told_ms_ago: 100, asks: 254 }),
      ]);
      const owners = new Set<string>();
      for (let i = 0; i < 4; i++) {
        owners.add((await datapath.run('endpoint', request(addresses.b))).packet.subarray(30, 34).join('.'));
        await new Promise((resolve) => setTimeout(resolve, 70));
      }
      expect(owners).toEqual(new Set([hosts.h3, hosts.h4]));
    } finally {
      datapath.close();
    }
  });

  test('the ask budget lets its burst through, and no more', async () => {
    const datapath = await openDatapath();
    try {
      datapath.put(h1({ asks_per_s: 1, ask_burst: 4 }));
      const verdicts: string[] = [];
      for (let i = 0; i < 8; i++) verdicts.push((await datapath.run('endpoint', data('b'))).verdict);
      expect(verdicts).toEqual([...Array(5).fill('ask_data'), ...Array(3).fill('ask_budget')]);
    } finally {
      datapath.close();
    }
  });

  test('what an endpoint sent and what its neighbour received is counted', async () => {
    const datapath = await openDatapath();
    try {
      datapath.put(h1());
      const frame = data('c');
      await datapath.run('endpoint', frame);
      const sum = (ifindex: number): { sent: number; received: number } => {
        const key = Buffer.alloc(4);
        key.writeUInt32LE(ifindex);
        const cells = datapath.object.map('traffic').lookup(key) ?? Buffer.alloc(0);
        let sent = 0;
        let received = 0;
        for (let at = 0; at < cells.length; at += 32) {
          sent += Number(cells.readBigUInt64LE(at + 8));
          received += Number(cells.readBigUInt64LE(at + 24));
        }
        return { sent, received };
      };
      expect([sum(port), sum(2)]).toEqual([
        { sent: frame.length, received: 0 },
        { sent: 0, received: frame.length },
      ]);
    } finally {
      datapath.close();
    }
  });

  test('drops are counted by VNI', async () => {
    const datapath = await openDatapath();
    try {
      datapath.put(h1());
      await datapath.run('endpoint', data('a'));
      const { keys, count } = await datapath.object.map('drops').entries();
      expect([count, keys.readUInt32LE(0)]).toEqual([1, vni]);
    } finally {
      datapath.close();
    }
  });
});
