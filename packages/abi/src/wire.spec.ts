import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encapsulationMax, gatewayMac, genevePort, Limit, optionClass } from '.';

const header = readFileSync(new URL('../../../bpf/wire.h', import.meta.url), 'utf8');
const define = (name: string): string => new RegExp(`#define ${name}\\s+(.*)`).exec(header)?.[1]?.trim() ?? '';

test('constants are those of bpf/wire.h', () => {
  expect(Number(/^\d+/.exec(define('GENEVE_PORT'))?.[0])).toBe(genevePort);
  expect(Number(/^0x[0-9a-f]+/.exec(define('OPTION_CLASS'))?.[0])).toBe(optionClass);
  expect(
    define('GATEWAY_MAC')
      .match(/0x[0-9a-f]{2}/g)
      ?.map(Number),
  ).toEqual(gatewayMac);
});

test('the encapsulation is what the headers add up to', () => {
  expect(define('ENCAPSULATION_MAX')).toContain('sizeof(struct outer_direct) + OPTION_BYTES_MAX');
  const sizes = { iphdr: 20, udphdr: 8, geneve_header: 8, ethhdr: 14 };
  const direct = /struct outer_direct \{([^}]*)\}/.exec(header)?.[1]?.match(/struct \w+/g) ?? [];
  const bytes = direct.map((member) => sizes[member.slice('struct '.length) as keyof typeof sizes]);
  expect(bytes.reduce((sum, size) => sum + size, 0) + Limit.option_bytes_max).toBe(encapsulationMax);
});
