import { expect, test } from 'vitest';
import { chooseHook } from './hook';

const bouncer = { holdsSlots: true, hasEndpoints: false };
const both = { holdsSlots: true, hasEndpoints: true };
const endpoints = { holdsSlots: false, hasEndpoints: true };

test.each([
  ['veth', bouncer, 'native'],
  ['veth', both, 'tc'],
  ['veth', endpoints, 'tc'],
  ['virtio_net', bouncer, 'native'],
  ['virtio_net', both, 'native'],
  ['virtio_net', endpoints, 'tc'],
  ['', bouncer, 'native'],
] as const)('auto on %s with %o is %s', (driver, role, hook) => {
  expect(chooseHook('auto', driver, role)).toBe(hook);
});

test.each(['native', 'generic', 'tc'] as const)('%s is what was asked for', (hook) => {
  expect(chooseHook(hook, 'veth', endpoints)).toBe(hook);
});
