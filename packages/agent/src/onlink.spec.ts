import { maps } from '@megrez/abi';
import { parseAddress } from '@megrez/model';
import { maskOf, planConfig } from '@megrez/plan';
import { describe, expect, test } from 'vitest';
import { areNeighbours, onlinkPrefix } from './onlink';

describe('hosts of the own prefix are neighbours', () => {
  const onlink = { network: parseAddress('10.0.0.0'), mask: maskOf(112) };
  const own = { network: '10.0.0.0', length: 16, ifindex: 2, gateway: false };
  const everywhere = { network: '0.0.0.0', length: 0, ifindex: 2, gateway: true };
  test.each([
    ['when its route is direct', true, [own, everywhere]],
    ['when another interface has other prefixes', true, [own, { ...own, network: '10.1.0.0', ifindex: 3 }]],
    ['unless it has no route', false, [everywhere]],
    ['unless the route is another interface’s', false, [{ ...own, ifindex: 3 }]],
    ['unless a gateway leads to it', false, [{ ...own, gateway: true }]],
    [
      'unless one of them is behind a gateway',
      false,
      [own, { ...own, network: '10.0.7.0', length: 24, gateway: true }],
    ],
    ['unless one of them is elsewhere', false, [own, { ...own, network: '10.0.7.8', length: 32, ifindex: 3 }]],
  ])('%s', (_what, expected, routes) => {
    expect(areNeighbours(onlink, 2, routes)).toBe(expected);
  });

  test('in IPv6 too', () => {
    const wide = { network: parseAddress('fd00::'), mask: maskOf(64) };
    expect(areNeighbours(wide, 2, [own, { ...own, network: 'fd00::', length: 64 }])).toBe(true);
    expect(areNeighbours(wide, 2, [own])).toBe(false);
  });
});

test('an address the interface does not have has none, and its row matches no host', async () => {
  expect(await onlinkPrefix({ name: 'lo', ifindex: 1 }, '192.0.2.1')).toBeUndefined();
  // The loopback’s addresses are local: no route leads to them.
  expect(await onlinkPrefix({ name: 'lo', ifindex: 1 }, '127.0.0.1')).toBeUndefined();
  const settings = {
    address: parseAddress('192.0.2.1'),
    nic: 1,
    secret: new Uint8Array(16),
    retry_ms: 1,
    negative_ms: 1,
  };
  const [row] = planConfig({ ...settings, asks_per_s: 1, ask_burst: 1 });
  const config = maps.config.value.decode(row?.value ?? Buffer.alloc(0));
  expect([
    config.onlink_mask.every((byte) => byte === 0xff),
    config.onlink_network.every((byte) => byte === 0),
  ]).toEqual([true, true]);
});
