import fc from 'fast-check';
import { expect, test } from 'vitest';
import { familyOf, parseAddress } from './address';
import { defaultMac, formatMac, gatewayMac, parseMac } from './mac';

test.each([
  ['', 'is not a MAC'],
  ['02:4d:0a:00:01', 'is not a MAC'],
  ['02-4d-0a-00-01-02', 'is not a MAC'],
  ['024d0a000102', 'is not a MAC'],
  ['02:4d:0a:00:01:0g', 'is not a MAC'],
  ['01:00:5e:00:00:01', 'multicast'],
  ['ff:ff:ff:ff:ff:ff', 'multicast'],
  ['00:00:00:00:00:00', 'all-zero'],
])("refuses '%s': %s", (text, message) => {
  expect(() => parseMac(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', reason: 'INVALID_MAC' }));
  expect(() => parseMac(text)).toThrow(message);
});

test('text round-trips in lower case', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      const mac = bytes.map((byte, i) => (i === 0 ? (byte & 0xfe) | 2 : byte));
      expect(parseMac(formatMac(mac).toUpperCase())).toEqual(mac);
    }),
  );
});

test.each([
  ['10.0.1.7', '02:4d:0a:00:01:07'],
  ['255.255.255.255', '02:4d:ff:ff:ff:ff'],
  ['103.119.0.1', '02:4c:67:77:00:01'],
])('default of %s is %s', (ip, mac) => expect(defaultMac(parseAddress(ip))).toBe(mac));

test('defaults are legal, never the gateway, and an IPv6 one is never an IPv4 one', () => {
  const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((address) => familyOf(address) === 6);
  fc.assert(
    fc.property(ipv6, (address) => {
      const mac = defaultMac(address);
      expect(formatMac(parseMac(mac))).toBe(mac);
      expect(mac).toMatch(/^02:(?!4d|4c)/);
    }),
  );
  expect(defaultMac(parseAddress('fd00::1'))).not.toBe(defaultMac(parseAddress('fd00::2')));
  expect(formatMac(parseMac(gatewayMac))).toBe(gatewayMac);
});

test('65,536 neighbouring IPv6 addresses have different default MACs', () => {
  const macs = new Set(Array.from({ length: 65_536 }, (_, i) => defaultMac(parseAddress(`fd00::${i.toString(16)}`))));
  expect(macs.size).toBe(65_536);
});
