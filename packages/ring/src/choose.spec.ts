import { describe, expect, test } from 'vitest';
import { ownersOf, type PlaceHost, type PlaceOptions, place, preference } from './index';

const host = (name: string, fields: Partial<PlaceHost> = {}): PlaceHost => ({
  name,
  address: `172.16.0.${name.slice(1)}`,
  weight: 0,
  zone: '',
  eligible: true,
  ...fields,
});
const hosts = Array.from({ length: 6 }, (_, i) => host(`h${i + 1}`));
const base: PlaceOptions = { vni: 7, subnet: 1, object: 'subnet acme/web', hosts, bouncers: 0, pinned: [] };
const owners = (options: Partial<PlaceOptions>): string[] =>
  place({ ...base, ...options }).owners.map((owner) => owner.host);

describe('owners', () => {
  test('0 bouncers: the pinned, else two, else the only host', () => {
    expect(owners({})).toHaveLength(2);
    expect(owners({ hosts: [host('h1')] })).toEqual(['h1']);
    expect(owners({ pinned: ['h3'] })).toEqual(['h3']);
    expect(owners({ pinned: ['h3', 'h1', 'h5'] })).toEqual(['h1', 'h3', 'h5']);
  });

  test('pinned hosts are always among them', () => {
    for (const { name } of hosts) expect(owners({ bouncers: 2, pinned: [name] })).toContain(name);
  });

  test('present owners stay when hosts come; rebalancing follows the ring', () => {
    const table = place({ ...base, hosts: hosts.slice(0, 2), bouncers: 2 });
    expect(owners({ table, bouncers: 2 })).toEqual(['h1', 'h2']);
    expect(owners({ table, bouncers: 2, rebalance: true })).toEqual(owners({ bouncers: 2 }));
  });

  test('an owner that may own no more is replaced, the others stay', () => {
    const table = place({ ...base, bouncers: 3 });
    const [gone, ...rest] = table.owners.map((owner) => owner.host);
    const after = owners({ table, bouncers: 3, hosts: hosts.map((h) => ({ ...h, eligible: h.name !== gone })) });
    expect(after).toEqual(expect.arrayContaining(rest));
    expect(after).not.toContain(gone);
    expect(after).toHaveLength(3);
  });

  test('zones are used evenly, and a slot lies in two of them', () => {
    const zoned = Array.from({ length: 9 }, (_, i) => host(`h${i + 1}`, { zone: `z${i < 6 ? 0 : i}` }));
    for (let vni = 1; vni <= 20; vni++) {
      const table = place({ ...base, vni, hosts: zoned, bouncers: 4 });
      const zones = new Map(zoned.map(({ name, zone }) => [name, zone]));
      expect(new Set(table.owners.map((owner) => zones.get(owner.host))).size).toBe(4);
      for (let slot = 0; slot < 256; slot++) {
        const [primary, secondary] = ownersOf(table, slot).map((owner) => zones.get(owner.host));
        expect(primary).not.toBe(secondary);
      }
    }
  });

  test('a new underlay address is a new table', () => {
    const table = place({ ...base, hosts: hosts.slice(0, 1) });
    const after = place({ ...base, hosts: [host('h1', { address: '172.16.9.9' })], table });
    expect(after.epoch).toBe(2);
    expect(ownersOf(after, 0)).toMatchObject([{ host: 'h1', address: '172.16.9.9' }]);
  });
});

test.each<[string, Partial<PlaceOptions>, object]>([
  ['no host', { hosts: [] }, { code: 'FAILED_PRECONDITION', reason: 'NO_ELIGIBLE_HOST' }],
  [
    'none eligible',
    { hosts: [host('h1', { eligible: false })] },
    { code: 'FAILED_PRECONDITION', reason: 'NO_ELIGIBLE_HOST' },
  ],
  ['too many bouncers', { bouncers: 7 }, { code: 'FAILED_PRECONDITION', reason: 'TOO_MANY_BOUNCERS' }],
  ['pinned host unknown', { pinned: ['h9'] }, { code: 'NOT_FOUND', reason: 'HOST_NOT_FOUND' }],
  [
    'pinned host ineligible',
    { hosts: [host('h1'), host('h2', { eligible: false })], pinned: ['h2'] },
    { code: 'FAILED_PRECONDITION', reason: 'HOST_INELIGIBLE' },
  ],
  [
    'more pinned than bouncers',
    { bouncers: 1, pinned: ['h1', 'h2'] },
    { code: 'INVALID_ARGUMENT', reason: 'TOO_MANY_BOUNCER_HOSTS' },
  ],
])('refused: %s', (_what, options, error) => {
  expect(() => place({ ...base, ...options })).toThrow(
    expect.objectContaining({ ...error, object: 'subnet acme/web' }),
  );
});

describe('preference', () => {
  test('all hosts, each once, whatever their order', () => {
    expect(preference('7/1', hosts).toSorted()).toEqual(hosts.map(({ name }) => name));
    expect(preference('7/1', hosts.toReversed())).toEqual(preference('7/1', hosts));
    expect(preference('7/1', [])).toEqual([]);
  });

  test('another host changes the order of the rest nowhere', () => {
    for (let vni = 1; vni <= 50; vni++) {
      const with7 = preference(`${vni}/1`, [...hosts, host('h7')]);
      expect(with7.filter((name) => name !== 'h7')).toEqual(preference(`${vni}/1`, hosts));
    }
  });

  test('subnets are spread by weight', () => {
    const weighted = hosts.map((h, i) => (i === 0 ? { ...h, weight: 500 } : h));
    const first = Array.from({ length: 1_000 }, (_, vni) => preference(`${vni}/1`, weighted)[0]);
    const heavy = first.filter((name) => name === 'h1').length;
    // Half of all weight is its; a ring of 40 to 200 points is not exact.
    expect(heavy).toBeGreaterThan(350);
    expect(heavy).toBeLessThan(650);
  });
});
