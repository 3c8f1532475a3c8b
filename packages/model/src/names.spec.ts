import { describe, expect, test } from 'vitest';
import { objectName, parseEndpointPath, parseSubnetPath, parseVpcPath, validateName } from './names';

describe('validateName', () => {
  test.each(['a', 'web', 'web-1', 'a'.repeat(63), 'h3', 'a--b'])("takes '%s'", (name) => {
    expect(validateName('endpoint', name)).toBe(name);
  });
  test.each(['1a', '-a', 'a-', 'A', 'a_b', 'a.b', 'a b', 'a/b', 'ä', 'a\n', 'a'.repeat(64)])("refuses '%s'", (name) => {
    expect(() => validateName('vpc', name)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', reason: 'INVALID_NAME', object: `vpc ${name}` }),
    );
  });
  test('an empty name is missing', () => {
    expect(() => validateName('vpc', '')).toThrow(expect.objectContaining({ reason: 'NAME_MISSING', object: 'vpc' }));
  });
});

test('paths', () => {
  expect(parseVpcPath('acme')).toEqual({ vpc: 'acme' });
  expect(parseSubnetPath('acme/web')).toEqual({ vpc: 'acme', subnet: 'web' });
  expect(parseEndpointPath('acme/web/a')).toEqual({ vpc: 'acme', subnet: 'web', name: 'a' });
  expect(objectName.endpoint('acme', 'web', 'a')).toBe('endpoint acme/web/a');
});

test.each(['', 'acme', 'acme/web', 'acme/web/a/b', 'acme//a', '/acme/web/a', 'acme/web/A'])(
  "'%s' is no endpoint",
  (path) => {
    expect(() => parseEndpointPath(path)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', object: `endpoint ${path}` }),
    );
  },
);

test('the error says the shape', () => {
  expect(() => parseSubnetPath('acme')).toThrow("'acme' does not name a subnet: write VPC/SUBNET");
});
