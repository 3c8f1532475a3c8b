import { describe, expect, test } from 'vitest';
import { search } from './search';
import { allRules, initial, type Rules } from './slot-move';

const denied = 'an endpoint that was created is denied';
const unanswered = 'a question was not answered';

describe('the move of a slot, in every interleaving', () => {
  test('answers every question, denies nothing that was created, and can always be completed', () => {
    const { states, violation, stuck } = search(initial(1), allRules);
    expect(violation).toBeUndefined();
    expect(stuck).toBeUndefined();
    expect(states).toBeGreaterThan(100_000);
  }, 120_000);

  test.each<[keyof Rules, string]>([
    ['waitLoaded', unanswered],
    ['waitOwners', denied],
    ['createWaitsLoading', unanswered],
    ['createWaitsLeaving', denied],
    ['createCompares', denied],
    ['leaving', denied],
    ['stub', unanswered],
    ['fence', denied],
  ])(
    'without the rule %s: %s',
    (rule, what) => {
      const { violation } = search(initial(2), { ...allRules, [rule]: false });
      expect(violation?.what).toBe(what);
    },
    120_000,
  );

  test('without the rule resume a crash leaves the slot half-way', () => {
    const { violation, stuck } = search(initial(0), { ...allRules, resume: false });
    expect(violation).toBeUndefined();
    expect(stuck).toBeDefined();
  }, 120_000);
});
