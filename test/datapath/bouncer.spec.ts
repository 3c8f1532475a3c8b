import { expect } from 'vitest';
import { cookie, now_ns } from './cookie';
import { ethernet, ethertype, ip, type Outer, op, option, type PathOption, path, tunnel, udp } from './frames';
import { type Case, runTable } from './table';
import {
  addresses,
  arpReply,
  arpRequest,
  type EndpointName,
  endpoint,
  hostMac,
  hostRows,
  hosts,
  macOf,
  subnet,
  vni,
} from './world';

const all = [endpoint('a', 'h1'), endpoint('b', 'h2')];
const h3 = () => hostRows('h3', ['h3'], all);

const frame = (to: EndpointName): Buffer =>
  ethernet(
    macOf('a'),
    macOf(to),
    ethertype.ip4,
    ip({ from: addresses.a, to: addresses[to], protocol: 17, payload: udp(1, 2, Buffer.from('data')) }),
  );
const ask = (about: EndpointName, fields: Partial<PathOption> = {}): Buffer =>
  path({ op: op.ask, subnet, epoch: 3, cookie: cookie(vni, addresses[about], now_ns()), host: hosts.h1, ...fields });
const arriving = (fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac('h1'), toMac: hostMac('h3'), from: hosts.h1, to: hosts.h3, vni, ...fields });
const leaving = (fields: Partial<Outer> & { inner: Buffer }): Buffer =>
  tunnel({ fromMac: hostMac('h3'), toMac: hostMac('h1'), from: hosts.h3, to: hosts.h1, vni, ...fields });

const untouched = (packet: () => Buffer) => ({ packet, expected: packet, verdict: 'pass', action: 'pass' }) as const;
const dropped = { action: 'drop' } as const;

const cases: Case[] = [
  {
    name: 'the request turns into its reply, in place',
    rows: h3,
    packet: () => arriving({ options: ask('b'), inner: arpRequest('b') }),
    verdict: 'answered',
    action: 'tx',
    expected: () =>
      leaving({
        options: ask('b', { op: op.tell, host: hosts.h2, generation: 5, mac: macOf('b') }),
        inner: arpReply('b'),
      }),
  },
  {
    name: 'a hit is answered also by a holder that is cut off',
    rows: () => hostRows('h3', ['h3'], all, { attached: false }),
    packet: () => arriving({ options: ask('b'), inner: arpRequest('b') }),
    verdict: 'answered',
    action: 'tx',
  },
  {
    name: 'nobody has the address: only the asker’s host hears it',
    rows: h3,
    packet: () => arriving({ options: ask('x'), inner: arpRequest('x') }),
    verdict: 'answered_none',
    action: 'tx',
    expected: () => leaving({ options: ask('x', { op: op.none }), inner: arpRequest('x') }),
  },
  {
    name: 'data, whose checksum may be partial',
    rows: h3,
    ...untouched(() => arriving({ options: ask('b'), inner: frame('b') })),
  },
  { name: 'option-less data', rows: h3, ...untouched(() => arriving({ inner: frame('b') })) },
  {
    name: 'a question that was passed on, whose answer goes another way',
    rows: h3,
    ...untouched(() => arriving({ from: hosts.h4, options: ask('b', { hops: 1 }), inner: arpRequest('b') })),
  },
  {
    name: 'a miss it may not judge',
    rows: () => hostRows('h3', ['h3', 'h4'], all, { attached: false }),
    ...untouched(() => arriving({ options: ask('x'), inner: arpRequest('x') })),
  },
  {
    name: 'an answer',
    rows: h3,
    ...untouched(() => arriving({ options: ask('b', { op: op.tell }), inner: arpReply('b') })),
  },
  { name: 'a frame of the underlay', rows: h3, ...untouched(() => arpRequest('b')) },
  { name: 'too short to be ours', rows: h3, ...untouched(() => arriving({ inner: frame('b') }).subarray(0, 40)) },
  {
    name: 'from outside the underlay prefixes',
    rows: h3,
    packet: () =>
      arriving({ from: '192.168.99.1', options: ask('b', { host: '192.168.99.1' }), inner: arpRequest('b') }),
    verdict: 'forged_source',
    ...dropped,
  },
  {
    name: 'an ask for somebody else',
    rows: h3,
    packet: () => arriving({ options: ask('b', { host: hosts.h4 }), inner: arpRequest('b') }),
    verdict: 'forged_host',
    ...dropped,
  },
  {
    name: 'critical and unknown',
    rows: h3,
    packet: () => arriving({ options: option(0xff, Buffer.alloc(4)), inner: arpRequest('b') }),
    verdict: 'unknown_option',
    ...dropped,
  },
  {
    name: 'an option longer than all of them',
    rows: h3,
    packet: () => arriving({ options: Buffer.from([0xff, 0x4d, 2, 31, 0, 0, 0, 0]), inner: arpRequest('b') }),
    verdict: 'bad_option',
    ...dropped,
  },
  {
    name: 'an inner request that is cut short',
    rows: h3,
    packet: () => arriving({ options: ask('b'), inner: arpRequest('b').subarray(0, 40) }),
    verdict: 'malformed',
    ...dropped,
    after: (datapath) => expect(datapath.counts()).toEqual({ 'bouncer/malformed': 1 }),
  },
];

runTable('bouncer', 'bouncer', cases);
