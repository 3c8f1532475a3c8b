import { Subnet, Vpc } from '@megrez/model';
import { place } from '@megrez/ring';
import { expect, it } from 'vitest';
import type { Context } from '../context';
import { emptyMirror, tableView } from '../mirror';
import { emptyShardState } from '../shards/state';
import { planner } from './planner';

it('a table that is as it shall be is looked at once, until it, its wish or the fleet changes', async () => {
  const mirror = emptyMirror();
  mirror.relays.set('r', { value: { incarnation: 'r', address: '' }, revision: 1 });
  const hosts = ['h1', 'h2', 'h3'].map((name, n) => ({ name, address: `192.168.0.${n + 1}`, weight: 0, zone: '' }));
  for (const host of hosts) {
    mirror.hosts.set(host.name, { value: { ...host, ineligible: false }, revision: 1 });
    mirror.sessions.set(host.name, {
      value: { host: host.name, relay: 'r', incarnation: '', session: '' },
      revision: 1,
    });
  }
  mirror.vpcsByVni.set(1, { value: Vpc.create({ name: 'acme', vni: 1 }), revision: 1 });
  const subnet = (bouncers: number) => ({
    value: Subnet.create({ vpc: 'acme', name: 'web', vni: 1, number: 1, bouncers }),
  });
  mirror.subnets.set('1/1', { ...subnet(2), revision: 1 });
  const eligible = hosts.map((host) => ({ ...host, eligible: true }));
  const view = tableView(place({ vni: 1, subnet: 1, hosts: eligible, bouncers: 2, pinned: [] }), 1);
  const { slots } = view.value;
  let looks = 0;
  Object.defineProperty(view.value, 'slots', {
    get: () => {
      looks += 1;
      return slots;
    },
  });
  mirror.tables.set('1/1', view);
  const log = { info: () => undefined };
  const context = {
    mirror,
    log,
    shards: emptyShardState(),
    sessions: new Map(),
    incarnation: 'a',
  } as unknown as Context;
  const written: unknown[] = [];
  const term = {
    over: new AbortController().signal,
    write: async (_: unknown, operations: readonly unknown[]) => {
      written.push(...operations);
      return { succeeded: true as const, revision: 2 };
    },
  };
  const plans = planner(context, term, { observe: async () => undefined, dead: new Set(), vanished: [] });
  const looksOf = async (): Promise<number> => {
    looks = 0;
    await plans.run();
    return looks;
  };
  expect(await looksOf()).toBeGreaterThan(0);
  mirror.revision += 1;
  expect(await looksOf()).toBe(0);
  mirror.sessions.delete('h3');
  expect(await looksOf()).toBeGreaterThan(0);
  expect(await looksOf()).toBe(0);
  expect(written).toEqual([]);
  mirror.subnets.set('1/1', { ...subnet(1), revision: 2 });
  expect(await looksOf()).toBeGreaterThan(0);
  expect(written).toHaveLength(1);
});
