/** Endpoints that left their host, and hosts that are silent. */
import { expect } from 'vitest';
import { cookie, now_ns } from './cookie';
import {
  ethernet,
  ethertype,
  flag,
  flowPort,
  ip,
  noticePort,
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
  arpRequest,
  type EndpointName,
  endpoint,
  type HostName,
  hostMac,
  hostRow,
  hostRows,
  hosts,
  macOf,
  mappingRow,
  type PathFacts,
  pathRow,
  subnet,
  tombstoneRow,
  vni,
} from './world';

const all = [endpoint('a', 'h1'), endpoint('c', 'h1')];
const h1 = () => hostRows('h1', ['h3', 'h4'], all);
/** `b` was here. */
const h2 = () => hostRows('h2', ['h3', 'h4'], []);

const datagram = (to: EndpointName): Buffer =>
  ip({ from: addresses.a, to: addresses[to], protocol: 17, payload: udp(1000, 2000, Buffer.from('looking for it')) });
const frame = (to: EndpointName): Buffer => ethernet(macOf('a'), macOf(to), ethertype.ip4, datagram(to));
const between = (from: HostName, to: HostName, fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac(from), toMac: hostMac(to), from: hosts[from], to: hosts[to], vni, ...fields });
const option = (about: EndpointName, fields: Partial<PathOption> = {}): Buffer =>
  path({ op: op.ask, subnet, epoch: 3, cookie: cookie(vni, addresses[about], now_ns()), host: hosts.h1, ...fields });
const gone = (fields: Partial<PathOption> = {}): Buffer => path({ op: op.gone, host: hosts.h2, ...fields });

const dropped = { action: 'drop' } as const;
const untold = (about: EndpointName) => (datapath: { get: (map: 'notices', key: never) => unknown }) =>
  expect(
    datapath.get('notices', { asker: hostAddress('h1'), about: { vni, ip: addressOf(about) } } as never),
  ).toBeUndefined();
const hostAddress = (name: HostName): Uint8Array =>
  Uint8Array.from([...Array(10).fill(0), 255, 255, ...hosts[name].split('.').map(Number)]);
const pathTo = (about: EndpointName) => ({ vni, ip: addressOf(about) });

const left: Case[] = [
  {
    name: 'it moved: the packet follows, a quarter of its hops poorer, and its sender’s host is told',
    rows: () => [...h2(), tombstoneRow('b', 'h4')],
    packet: () => between('h1', 'h2', { inner: frame('b') }),
    verdict: 'forwarded_moved',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h2'),
        from: hosts.h2,
        to: hosts.h4,
        vni,
        ttl: 48,
        inner: frame('b'),
      }),
    after: (datapath) =>
      expect(datapath.get('notices', { asker: hostAddress('h1'), about: { vni, ip: addressOf('b') } })).toBeDefined(),
  },
  {
    name: 'it moved on and on: there is an end',
    rows: () => [...h2(), tombstoneRow('b', 'h4')],
    packet: () => between('h1', 'h2', { ttl: 16, inner: frame('b') }),
    verdict: 'hops',
    ...dropped,
  },
  {
    name: 'it moved: a question goes with the packet',
    rows: () => [...h2(), tombstoneRow('b', 'h4')],
    packet: () => between('h1', 'h2', { options: option('b'), inner: frame('b') }),
    verdict: 'forwarded_moved',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h1'),
        toMac: hostMac('h2'),
        from: hosts.h2,
        to: hosts.h4,
        vni,
        options: option('b', { hops: 1 }),
        inner: frame('b'),
      }),
    after: untold('b'),
  },
  {
    name: 'a question that was passed on too often',
    rows: () => [...h2(), tombstoneRow('b', 'h4')],
    packet: () => between('h3', 'h2', { options: option('b', { hops: 4 }), inner: frame('b') }),
    verdict: 'hops',
    ...dropped,
  },
  {
    name: 'a bouncer knows better than the tombstone',
    rows: () => [...hostRows('h3', ['h3'], []), tombstoneRow('b', 'h4'), mappingRow('b', 'h2', 12)],
    packet: () => between('h1', 'h3', { options: option('b'), inner: frame('b') }),
    verdict: 'forwarded',
    action: 'redirect',
  },
  {
    name: 'deleted: the sender’s host is told, with the packet',
    rows: () => [...h2(), tombstoneRow('b')],
    packet: () => between('h1', 'h2', { inner: frame('b') }),
    verdict: 'answered_gone',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h2'),
        toMac: hostMac('h1'),
        from: hosts.h2,
        to: hosts.h1,
        vni,
        sourcePort: noticePort(addresses.b),
        options: gone(),
        inner: frame('b'),
      }),
  },
  {
    name: 'deleted: a question is answered so too',
    rows: () => [...h2(), tombstoneRow('b')],
    packet: () => between('h1', 'h2', { options: option('b'), inner: frame('b') }),
    verdict: 'answered_gone',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h2'),
        toMac: hostMac('h1'),
        from: hosts.h2,
        to: hosts.h1,
        vni,
        options: option('b', { op: op.gone, host: hosts.h2 }),
        inner: frame('b'),
      }),
  },
  {
    name: 'a tombstone whose time is over says nothing of where it went',
    rows: () => [...h2(), tombstoneRow('b', 'h4', -100)],
    packet: () => between('h1', 'h2', { inner: frame('b') }),
    verdict: 'answered_gone',
    action: 'redirect',
  },
  {
    name: 'it came back: the tombstone does not matter',
    rows: () => [...hostRows('h2', ['h3'], [endpoint('b', 'h2')]), tombstoneRow('b', 'h4')],
    packet: () => between('h1', 'h2', { inner: frame('b') }),
    verdict: 'delivered',
    action: 'redirect',
  },
];

const told: Case[] = [
  {
    name: 'by the path’s host: the path is forgotten',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 100 })],
    packet: () => between('h2', 'h1', { options: gone(), inner: frame('b') }),
    verdict: 'told_gone',
    action: 'drop',
    after: (datapath) => expect(datapath.get('paths', pathTo('b'))).toMatchObject({ state: 0, asks: 0, generation: 5 }),
  },
  {
    name: 'by any other host: nothing changes',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 100 })],
    packet: () => between('h4', 'h1', { options: gone({ host: hosts.h2 }), inner: frame('b') }),
    verdict: 'stale',
    ...dropped,
    after: (datapath) => expect(datapath.get('paths', pathTo('b'))).toMatchObject({ state: 1 }),
  },
  {
    name: 'of a packet that nobody here sent',
    rows: () => [
      ...h1().filter(({ map }) => map !== 'endpoints'),
      pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 100 }),
    ],
    packet: () => between('h2', 'h1', { options: gone(), inner: frame('b') }),
    verdict: 'not_here',
    ...dropped,
    after: (datapath) => expect(datapath.get('paths', pathTo('b'))).toMatchObject({ state: 1 }),
  },
  {
    name: 'an answer from before does not bring the path back',
    rows: () => [...h1(), pathRow({ about: 'b', host: 'h2', state: 0, told_ms_ago: 100, generation: 7 })],
    packet: () =>
      between('h3', 'h1', {
        options: option('b', { op: op.tell, host: hosts.h2, generation: 6, mac: macOf('b') }),
        inner: frame('b'),
      }),
    verdict: 'stale',
    ...dropped,
  },
];

const silent = (facts: Partial<PathFacts> = {}) =>
  pathRow({ about: 'b', host: 'h2', state: 1, told_ms_ago: 2_000, live_ms_ago: 2_000, ...facts });

const life: Case[] = [
  {
    name: 'a host that was heard just now is not asked',
    rows: () => [...h1(), silent(), hostRow('h2', { heard_ms_ago: 20 })],
    packet: () => frame('b'),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'one that was not heard for a while is asked for a sign of life',
    rows: () => [...h1(), silent(), hostRow('h2', { heard_ms_ago: 500 })],
    packet: () => frame('b'),
    verdict: 'direct_ask',
    action: 'redirect',
  },
  {
    name: 'but not with every packet',
    rows: () => [...h1(), silent(), hostRow('h2', { heard_ms_ago: 500, asked_ms_ago: 50, probed_ms_ago: 50 })],
    packet: () => frame('b'),
    verdict: 'direct',
    action: 'redirect',
  },
  {
    name: 'one that answers nothing: an owner is asked where the endpoint is',
    rows: () => [...h1(), silent(), hostRow('h2', { heard_ms_ago: 900, asked_ms_ago: 400, probed_ms_ago: 50 })],
    packet: () => frame('b'),
    verdict: 'ask_data',
    action: 'redirect',
  },
  {
    name: 'the owner was asked a moment ago',
    rows: () => [
      ...h1(),
      silent({ checked_ms_ago: 50 }),
      hostRow('h2', { heard_ms_ago: 900, asked_ms_ago: 400, probed_ms_ago: 50 }),
    ],
    packet: () => frame('b'),
    verdict: 'direct',
    action: 'redirect',
  },
];

/** Both owners stand beside each other in the slot of `b`: the one that did not answer is not asked alone. */
const suspects = (['h3', 'h4'] as const).map(
  (suspect): Case => ({
    name: `${suspect} owes an answer: the other owner is asked`,
    rows: () => [...h1(), hostRow(suspect, { heard_ms_ago: 900, asked_ms_ago: 80, probed_ms_ago: 10 })],
    packet: () => frame('b'),
    verdict: 'ask_data',
    action: 'redirect',
    expected: () => {
      const asked = suspect === 'h3' ? 'h4' : 'h3';
      const out = between('h1', asked, {
        sourcePort: flowPort(datagram('b')),
        options: option('b'),
        inner: frame('b'),
      });
      return Buffer.concat([frame('b').subarray(0, 12), out.subarray(12)]);
    },
  }),
);

const probes: Case[] = [
  {
    name: 'a probe is answered the way it came',
    rows: h2,
    packet: () => between('h1', 'h2', { options: option('b', { op: op.echo }), inner: frame('b') }),
    verdict: 'answered_echo',
    action: 'redirect',
    expected: () =>
      tunnel({
        fromMac: hostMac('h2'),
        toMac: hostMac('h1'),
        from: hosts.h2,
        to: hosts.h1,
        vni,
        options: option('b', { op: op.echo, flags: flag.answer }),
        inner: frame('b'),
      }),
  },
  {
    name: 'a host that never was attached does not answer',
    rows: () => h2().map((one) => (one.map === 'attached' ? { ...one, value: Buffer.alloc(8) } : one)),
    packet: () => between('h1', 'h2', { options: option('b', { op: op.echo }), inner: frame('b') }),
    verdict: 'not_holder',
    ...dropped,
  },
  {
    name: 'the answer is a sign of life',
    rows: () => [...h1(), hostRow('h3', { heard_ms_ago: 900, asked_ms_ago: 80 })],
    packet: () => between('h3', 'h1', { options: option('b', { op: op.echo, flags: flag.answer }), inner: frame('b') }),
    verdict: 'told_echo',
    action: 'drop',
    after: (datapath) => {
      const state = datapath.get('hosts', { host: hostAddress('h3') });
      expect(state?.heard_at).toBeGreaterThan(state?.asked_at ?? 0n);
    },
  },
  {
    name: 'one that nobody asked for is none',
    rows: h1,
    packet: () =>
      between('h3', 'h1', { options: option('b', { op: op.echo, flags: flag.answer, cookie: 3n }), inner: frame('b') }),
    verdict: 'forged_cookie',
    ...dropped,
  },
  {
    name: 'ARP probes are answered too',
    rows: h2,
    packet: () => between('h1', 'h2', { options: option('b', { op: op.echo }), inner: arpRequest('b') }),
    verdict: 'answered_echo',
    action: 'redirect',
  },
];

runTable('nic', 'nic: endpoints that left', left);
runTable('nic', 'nic: told that an endpoint left', told);
runTable('endpoint', 'endpoint: hosts that are silent', life);
runTable('endpoint', 'endpoint: owners that are silent', suspects);
runTable('nic', 'nic: signs of life', probes);
