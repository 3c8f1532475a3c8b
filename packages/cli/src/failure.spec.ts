import { MegrezError } from '@megrez/model';
import { expect, test } from 'vitest';
import { formatFailure } from './failure';

const fields = {
  code: 'ALREADY_EXISTS',
  reason: 'ADDRESS_IN_USE',
  object: 'endpoint acme/web/a',
  message: '10.0.1.7 is taken',
} as const;

test('code, reason and object are behind the message', () => {
  expect(formatFailure(new MegrezError(fields))).toBe(
    '10.0.1.7 is taken (ALREADY_EXISTS/ADDRESS_IN_USE, endpoint acme/web/a)',
  );
});

test('silent hosts are named', () => {
  const error = new MegrezError({ ...fields, code: 'DEADLINE_EXCEEDED', reason: 'NOT_APPLIED', hosts: ['h1', 'h3'] });
  expect(formatFailure(error)).toBe(
    '10.0.1.7 is taken; no answer from h1, h3 (DEADLINE_EXCEEDED/NOT_APPLIED, endpoint acme/web/a)',
  );
});

test('hosts that answered with a refusal are not called silent', () => {
  const error = new MegrezError({ ...fields, code: 'FAILED_PRECONDITION', reason: 'MAP_FULL', hosts: ['h1'] });
  expect(formatFailure(error)).toBe('10.0.1.7 is taken (FAILED_PRECONDITION/MAP_FULL, endpoint acme/web/a)');
});

test('always one line', () => {
  expect(formatFailure(new Error('first\n  second\n'))).toBe('first second');
  expect(formatFailure('text')).toBe('text');
});

test('nobody there: what to do', () => {
  expect(formatFailure(new MegrezError({ ...fields, reason: 'UNREACHABLE' }))).toContain('--server');
});
