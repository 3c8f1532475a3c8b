/** A packet's life: what one program puts out is what the next one gets, across three hosts. */
import type { ProgramWord } from '@megrez/abi';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Datapath, type Outcome, openDatapath } from './datapath';
import { ethernet, ethertype, ip, udp } from './frames';
import {
  addresses,
  addressOf,
  arpRequest,
  endpoint,
  type HostName,
  hostMac,
  hostRows,
  macBytes,
  macOf,
  vni,
} from './world';

const all = [endpoint('a', 'h1'), endpoint('b', 'h2')];
const names = ['h1', 'h2', 'h3'] as const;
let hosts: Record<(typeof names)[number], Datapath>;

beforeEach(async () => {
  const [h1, h2, h3] = await Promise.all([openDatapath(), openDatapath(), openDatapath()]);
  hosts = { h1, h2, h3 };
  for (const name of names) hosts[name].put(hostRows(name, ['h3'], all));
});
afterEach(() => {
  for (const name of names) hosts[name].close();
});

const step = async (host: (typeof names)[number], program: ProgramWord, packet: Buffer): Promise<Outcome> =>
  hosts[host].run(program, packet);

/** What redirect_neigh does behind a test run: the link-layer addresses of the next hop. */
const onTheWire = (packet: Buffer, from: HostName, to: HostName): Buffer => {
  const copy = Buffer.from(packet);
  copy.set(macBytes(hostMac(to)), 0);
  copy.set(macBytes(hostMac(from)), 6);
  return copy;
};

const request = arpRequest('b');
const data = (text: string): Buffer =>
  ethernet(
    macOf('a'),
    macOf('b'),
    ethertype.ip4,
    ip({ from: addresses.a, to: addresses.b, protocol: 17, payload: udp(1000, 2000, Buffer.from(text)) }),
  );

describe('a packet’s life', () => {
  test.each(['bouncer', 'nic'] as const)('ARP by the bouncer’s %s hook, then data host to host', async (hook) => {
    const asked = await step('h1', 'endpoint', request);
    const answered = await step('h3', hook, asked.packet);
    const arrived = await step('h1', 'nic', onTheWire(answered.packet, 'h3', 'h1'));
    const sent = await step('h1', 'endpoint', data('first'));
    const delivered = await step('h2', 'nic', onTheWire(sent.packet, 'h1', 'h2'));
    expect([asked, answered, arrived, sent, delivered].map(({ verdict }) => verdict)).toEqual([
      'ask_arp',
      'answered',
      'told_arp',
      'direct',
      'delivered',
    ]);
    expect(delivered.packet.toString('hex')).toBe(data('first').toString('hex'));
    expect(hosts.h3.counts()).toEqual({ [`${hook}/answered`]: 1 });
  });

  test('data without ARP: three legs once, then direct', async () => {
    const asked = await step('h1', 'endpoint', data('first'));
    const forwarded = await step('h3', 'nic', onTheWire(asked.packet, 'h1', 'h3'));
    const delivered = await step('h2', 'nic', onTheWire(forwarded.packet, 'h3', 'h2'));
    const learned = await step('h1', 'nic', onTheWire(delivered.packet, 'h2', 'h1'));
    const second = await step('h1', 'endpoint', data('second'));
    expect([asked, forwarded, delivered, learned, second].map(({ verdict }) => verdict)).toEqual([
      'ask_data',
      'forwarded',
      'delivered_told',
      'told',
      'direct',
    ]);
    expect(hosts.h1.get('paths', { vni, ip: addressOf('b') })).toMatchObject({ generation: 5, asks: 0 });
  });

  test('an address nobody has: the bouncer is asked once in the negative time', async () => {
    const ask = arpRequest('x');
    const asked = await step('h1', 'endpoint', ask);
    const none = await step('h3', 'bouncer', asked.packet);
    const learned = await step('h1', 'nic', none.packet);
    const again = await step('h1', 'endpoint', ask);
    expect([asked, none, learned, again].map(({ verdict }) => verdict)).toEqual([
      'ask_arp',
      'answered_none',
      'told_none',
      'unknown_address',
    ]);
  });

  test('an answer that arrives twice, or late, changes nothing', async () => {
    const asked = await step('h1', 'endpoint', request);
    const answered = await step('h3', 'bouncer', asked.packet);
    await step('h1', 'nic', answered.packet);
    const first = hosts.h1.get('paths', { vni, ip: addressOf('b') });
    hosts.h1.put(hostRows('h1', ['h3'], all));
    const again = await step('h1', 'nic', answered.packet);
    expect(again.verdict).toBe('told_arp');
    expect(hosts.h1.get('paths', { vni, ip: addressOf('b') })).toMatchObject({
      host: first?.host,
      generation: first?.generation,
    });
  });
});
