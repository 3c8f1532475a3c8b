import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressToBigint, formatAddress, parseAddress } from './address';
import {
  broadcastAddress,
  cidrContainsCidr,
  cidrSize,
  contains,
  firstHost,
  hostRange,
  lastAddress,
  nthAddress,
  overlaps,
  parseCidr,
} from './cidr';

describe('parseCidr', () => {
  test.each([
    ['10.0.0.0/16', 16, 4, '10.0.0.0/16'],
    ['0.0.0.0/0', 0, 4, '0.0.0.0/0'],
    ['10.0.1.7/32', 32, 4, '10.0.1.7/32'],
    ['FD00:0::/48', 48, 6, 'fd00::/48'],
    ['::/0', 0, 6, '::/0'],
  ])('%s', (text, length, family, canonical) => {
    expect(parseCidr(text)).toMatchObject({ length, family, text: canonical });
  });

  test.each([
    ['10.0.1.7/24', 'CIDR_HOST_BITS', 'the network is 10.0.1.0/24'],
    ['fd00::1/64', 'CIDR_HOST_BITS', 'the network is fd00::/64'],
    ['10.0.1.0', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
    ['10.0.1.0/', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
    ['10.0.1.0/024', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
    ['10.0.1.0/-1', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
    ['10.0.1.0/24/24', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
    ['10.0.1.0/255.255.255.0', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
    ['10.0.1.0/33', 'INVALID_CIDR', 'at most 32 bits'],
    ['fd00::/129', 'INVALID_CIDR', 'at most 128 bits'],
    ['10.0.1/24', 'INVALID_CIDR', 'not an IP address'],
    ['::ffff:10.0.0.0/104', 'INVALID_CIDR', 'write it as 10.0.0.0'],
    ['', 'INVALID_CIDR', 'ADDRESS/LENGTH'],
  ])("refuses '%s': %s", (text, reason, message) => {
    expect(() => parseCidr(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', reason }));
    expect(() => parseCidr(text)).toThrow(message);
  });
});

test.each([
  ['10.0.1.0/24', '10.0.1.255', true],
  ['10.0.1.0/24', '10.0.2.0', false],
  ['10.0.1.128/25', '10.0.1.127', false],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', 'fd00::1', false],
  ['::/0', '10.0.0.1', false],
  ['fd00::/65', 'fd00::7fff:0:0:1', true],
  ['fd00::/65', 'fd00::8000:0:0:1', false],
])('%s contains %s: %s', (cidr, address, inside) => {
  expect(contains(parseCidr(cidr), parseAddress(address))).toBe(inside);
});

test.each([
  ['10.0.0.0/16', '10.0.1.0/24', true, true],
  ['10.0.1.0/24', '10.0.0.0/16', false, true],
  ['10.0.1.0/24', '10.0.1.0/24', true, true],
  ['10.0.1.0/24', '10.0.2.0/24', false, false],
  ['::/0', '10.0.0.0/8', false, false],
])('%s around %s: contains %s, overlaps %s', (a, b, around, overlap) => {
  expect(cidrContainsCidr(parseCidr(a), parseCidr(b))).toBe(around);
  expect(overlaps(parseCidr(a), parseCidr(b))).toBe(overlap);
  expect(overlaps(parseCidr(b), parseCidr(a))).toBe(overlap);
});

test.each([
  ['10.0.1.0/24', '10.0.1.1', '10.0.1.2', '10.0.1.254', 253n, '10.0.1.255'],
  ['10.0.1.8/29', '10.0.1.9', '10.0.1.10', '10.0.1.14', 5n, '10.0.1.15'],
  ['fd00::/120', 'fd00::1', 'fd00::2', 'fd00::ff', 254n, undefined],
])('%s: gateway %s, hosts %s to %s', (text, gateway, first, last, count, broadcast) => {
  const cidr = parseCidr(text);
  const range = hostRange(cidr);
  expect(formatAddress(firstHost(cidr))).toBe(gateway);
  expect([formatAddress(range.first), formatAddress(range.last), range.count]).toEqual([first, last, count]);
  const actual = broadcastAddress(cidr);
  expect(actual === undefined ? undefined : formatAddress(actual)).toBe(broadcast);
});

test.each(['10.0.0.0/30', '10.0.0.0/31', '10.0.0.1/32'])('%s has at most one address for endpoints', (text) => {
  expect(hostRange(parseCidr(text)).count).toBe(text.endsWith('/30') ? 1n : 0n);
});

test('nth addresses are exactly those inside', () => {
  fc.assert(
    fc.property(
      fc.bigInt(0n, (1n << 32n) - 1n),
      fc.integer({ min: 0, max: 32 }),
      fc.bigInt(0n, 1n << 32n),
      (base, length, n) => {
        const size = 1n << BigInt(32 - length);
        const octets = (value: bigint) => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
        const cidr = parseCidr(`${octets((base / size) * size)}/${length}`);
        expect(cidrSize(cidr)).toBe(size);
        const nth = nthAddress(cidr, n % size);
        expect(contains(cidr, nth)).toBe(true);
        expect(addressToBigint(nth) - addressToBigint(cidr.address)).toBe(n % size);
        expect(addressToBigint(lastAddress(cidr)) - addressToBigint(cidr.address)).toBe(size - 1n);
        expect(() => nthAddress(cidr, size)).toThrow(RangeError);
      },
    ),
  );
});
