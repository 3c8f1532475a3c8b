import { maps } from '@megrez/abi';
import { formatAddress, parseAddress } from '@megrez/model';
import { planConfig } from '@megrez/plan';
import { expect, test } from 'vitest';
import { onlinkPrefix } from './onlink';

test('the loopback’s own prefix', () => {
  const onlink = onlinkPrefix('lo', '127.0.0.1');
  expect(onlink && formatAddress(onlink.network)).toBe('127.0.0.0');
  expect(Buffer.from(onlink?.mask ?? []).toString('hex')).toBe(`${'ff'.repeat(13)}000000`);
});

test('an address the interface does not have has none, and its row matches no host', () => {
  expect(onlinkPrefix('lo', '192.0.2.1')).toBeUndefined();
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
