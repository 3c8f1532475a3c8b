import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addressFromBigint,
  addressFromHex,
  addressHex,
  addressToBigint,
  familyOf,
  formatAddress,
  parseAddress,
} from './address';

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });

describe('parseAddress', () => {
  test.each([
    ['10.0.1.7', '00000000000000000000ffff0a000107', 4],
    ['0.0.0.0', '00000000000000000000ffff00000000', 4],
    ['255.255.255.255', '00000000000000000000ffffffffffff', 4],
    ['::', '00000000000000000000000000000000', 6],
    ['fd00::1', 'fd000000000000000000000000000001', 6],
    ['2001:DB8:0:0:0:0:0:1', '20010db8000000000000000000000001', 6],
  ])('%s is %s', (text, hex, family) => {
    const address = parseAddress(text);
    expect(addressHex(address)).toBe(hex);
    expect(familyOf(address)).toBe(family);
  });

  test.each([
    '',
    '10',
    '10.1',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.01',
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.0.0.1 ',
    ' 10.0.0.1',
    '10.0.0.1/24',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
    '::FFFF:a00:1',
    '::10.0.0.1',
    'fd00:::1',
    'fd00::1::2',
    'localhost',
    '12345',
  ])("refuses '%s'", (text) => {
    expect(() => parseAddress(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', reason: 'INVALID_ADDRESS' }),
    );
  });

  test('says how a mapped address is written', () => {
    expect(() => parseAddress('::ffff:10.0.0.1')).toThrow('write it as 10.0.0.1');
  });
});

test('text, hex and number round-trip', () => {
  fc.assert(
    fc.property(
      fc.oneof(bytes16, fc.ipV4().map(parseAddress), fc.ipV6().filter(notMapped).map(parseAddress)),
      (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
        expect(addressFromHex(addressHex(address))).toEqual(address);
        expect(addressFromBigint(addressToBigint(address))).toEqual(address);
      },
    ),
  );
});

const notMapped = (text: string): boolean => {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
};

test('a bad hex text is a RangeError', () => {
  for (const hex of ['', 'A'.repeat(32), '0'.repeat(31), `${'0'.repeat(31)}g`]) {
    expect(() => addressFromHex(hex)).toThrow(RangeError);
  }
});
