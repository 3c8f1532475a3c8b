import { limits } from '@megrez/model';
import { place } from '@megrez/ring';
import { expect, it } from 'vitest';
import type { Context } from '../context';
import { emptyMirror } from '../mirror';
import { txn_limit } from './endpoint-write';
import { ownersUnchanged, placeFirstDividers, placeHosts } from './placement';

it('a first subnet and the dividers that come with it are few enough for one txn, however many are wished', () => {
  const mirror = emptyMirror();
  mirror.relays.set('r', { value: { incarnation: 'r', address: '' }, revision: 1 });
  for (let n = 0; n < limits.dividers + limits.bouncers; n += 1) {
    const name = `h${n}`;
    const host = { name, address: `192.168.0.${n}`, weight: 0, zone: '', ineligible: false };
    mirror.hosts.set(name, { value: host, revision: 1 });
    mirror.sessions.set(name, { value: { host: name, relay: 'r', incarnation: 'i', session: 's' }, revision: 1 });
  }
  const context = { mirror, sessions: new Map(), incarnation: 'other' } as unknown as Context;
  const object = 'subnet acme/web';
  const dividers = placeFirstDividers(context, { vni: 1, object, dividers: limits.dividers });
  const taken = new Set(dividers.owners.map(({ host }) => host));
  const pinned = [...mirror.hosts.keys()].filter((host) => !taken.has(host)).slice(0, limits.bouncers);
  const table = place({ vni: 1, subnet: 1, object, hosts: placeHosts(context), bouncers: limits.bouncers, pinned });
  // VPC, name, subnet, counter and the dividers' table beside the hosts.
  const compares = 5 + ownersUnchanged(context, dividers).length + ownersUnchanged(context, table).length;
  expect(table.owners).toHaveLength(limits.bouncers);
  expect(compares).toBeLessThanOrEqual(txn_limit);
});
