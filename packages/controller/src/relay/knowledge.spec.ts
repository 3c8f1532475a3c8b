import { addressHex, type Change, Endpoint, parseAddress, SlotState, type SlotTable, Subnet, Vpc } from '@megrez/model';
import { slotCount, slotOf } from '@megrez/ring';
import { type Key, keys, type WatchEvent } from '@megrez/store';
import { describe, expect, it } from 'vitest';
import { emptyMirror } from '../mirror';
import { emptyWorld, mustKnow, placesOf, random, type Told, type World, type Written } from '../testing/rules';
import { type Knowledge, knowledge, type Step } from './knowledge';
import { type Listener, routeBatch } from './route';

const hostNames = ['h1', 'h2', 'h3', 'h4', 'h5'];
const vnis = [1, 2];
const numbers = [1, 2, 3];

const nameOf = ({ object }: Change): string => {
  switch (object.oneofKind) {
    case 'vpc':
      return `vpc ${object.vpc.vni}`;
    case 'subnet':
      return `subnet ${object.subnet.vni}/${object.subnet.number}`;
    case 'table':
      return `table ${object.table.vni}/${object.table.subnet}`;
    case 'endpoint':
      return `endpoint ${object.endpoint.vni}/${object.endpoint.subnetNumber}/${object.endpoint.ip}`;
    default:
      throw new Error(`told of ${object.oneofKind}`);
  }
};

/** As an agent takes changes and a relay reads loads, of the store as it was then. */
const take = (told: Told, know: Knowledge, step: Step, history: ReadonlyMap<number, World>): void => {
  if (step.kind === 'change') {
    const name = nameOf(step.change);
    if (!step.change.deleted) told.set(name, step.change.generation);
    else if (!told.delete(name)) throw new Error(`${name} was taken away, but never told`);
    return;
  }
  if (step.load.kind === 'snapshot') throw new Error('a snapshot was not asked for');
  const { key, slots, revision, lost } = step.load;
  for (const [id, { value, revision: written }] of history.get(revision)?.endpoints ?? []) {
    if (!id.startsWith(`${key}/`) || !slots.has(value.slot)) continue;
    if (!lost) told.set(`endpoint ${id}`, written);
    else if (!know.owns(key, addressHex(parseAddress(value.ip)))) told.delete(`endpoint ${id}`);
  }
};

/** One txn after the other, each of a kind that the controller writes. */
const writer = (world: World, pick: (below: number) => number) => {
  let revision = 0;
  const one = <T>(from: readonly T[]): T => from[pick(from.length)] as T;
  const put = <T extends object>(key: Key<T>, value: T): WatchEvent => ({
    path: key.path,
    revision,
    value: key.type.toBinary(value),
  });
  const remove = (key: Key<never>): WatchEvent => ({ path: key.path, revision, value: undefined });
  const table = (vni: number, subnet: number): WatchEvent => {
    const names = hostNames.filter(() => pick(3) === 0);
    const owners = names.map((host) => ({ host, address: '' }));
    // The last owner may be one that only passes queries on.
    const serving = Math.max(1, owners.length - pick(2));
    const slots = Array.from({ length: slotCount }, () => ({
      holders:
        owners.length === 0
          ? []
          : [{ owner: pick(serving), state: one([SlotState.LOADING, SlotState.SERVING, SlotState.LEAVING]) }],
    }));
    const value: SlotTable = { vni, subnet, epoch: 1, owners, slots, generation: 0 };
    world.tables.set(`${vni}/${subnet}`, { value, revision });
    return put(keys.slots(vni, subnet), value);
  };
  const subnet = (vni: number, number: number): WatchEvent => {
    const value = Subnet.create({ vpc: `v${vni}`, name: `s${number}`, vni, number });
    world.subnets.set(`${vni}/${number}`, { value, revision });
    return put(keys.subnet(vni, number), value);
  };
  const vpc = (vni: number): WatchEvent => {
    const value = Vpc.create({ name: `v${vni}`, vni });
    world.vpcs.set(vni, { value, revision });
    return put(keys.vpc(`v${vni}`), value);
  };
  const write = (value: Endpoint, gone: readonly string[] = []): WatchEvent[] => {
    const { vni, subnetNumber, slot, ip } = value;
    const hex = addressHex(parseAddress(ip));
    world.endpoints.set(`${vni}/${subnetNumber}/${ip}`, { value, revision });
    return [
      put(keys.endpoint(vni, subnetNumber, slot, hex), value),
      ...placesOf(value).map((host) => put(keys.byHost(host, vni, subnetNumber, hex), value)),
      ...gone.map((host) => remove(keys.byHost(host, vni, subnetNumber, hex) as never)),
    ];
  };
  const erase = ({ value }: Written<Endpoint>): WatchEvent[] => {
    const { vni, subnetNumber, slot, ip } = value;
    const hex = addressHex(parseAddress(ip));
    world.endpoints.delete(`${vni}/${subnetNumber}/${ip}`);
    return [
      remove(keys.endpoint(vni, subnetNumber, slot, hex) as never),
      ...placesOf(value).map((host) => remove(keys.byHost(host, vni, subnetNumber, hex) as never)),
    ];
  };

  const endpointTxn = (vni: number, number: number): WatchEvent[] => {
    const ip = `10.${vni}.${number}.${2 + pick(6)}`;
    const known = world.endpoints.get(`${vni}/${number}/${ip}`);
    const host = one(hostNames);
    if (known === undefined) {
      const slot = slotOf(vni, parseAddress(ip));
      return write(
        Endpoint.create({ vpc: `v${vni}`, subnet: `s${number}`, host, ip, vni, subnetNumber: number, slot }),
      );
    }
    const { value } = known;
    if (pick(4) === 0) return erase(known);
    if (value.movedFrom !== '') return write({ ...value, movedFrom: '' }, [value.movedFrom]);
    if (value.movingTo !== '' && pick(4) === 0) return write({ ...value, movingTo: '' }, [value.movingTo]);
    if (value.movingTo !== '') {
      return write({ ...value, host: value.movingTo, movingTo: '', movedFrom: value.host });
    }
    return host === value.host ? [] : write({ ...value, movingTo: host });
  };

  const txn = (): WatchEvent[] => {
    revision += 1;
    const [vni, number] = [one(vnis), one(numbers)];
    if (!world.vpcs.has(vni)) return pick(8) === 0 ? [vpc(vni)] : [vpc(vni), table(vni, 0)];
    const inside = [...world.endpoints.values()].filter(({ value }) => value.vni === vni);
    const kind = pick(20);
    if (!world.subnets.has(`${vni}/${number}`)) {
      if (kind === 0 && numbers.every((n) => !world.subnets.has(`${vni}/${n}`))) {
        world.vpcs.delete(vni);
        world.tables.delete(`${vni}/0`);
        return [remove(keys.vpc(`v${vni}`) as never), remove(keys.slots(vni, 0) as never)];
      }
      return [subnet(vni, number), table(vni, number)];
    }
    if (kind === 0 && !inside.some(({ value }) => value.subnetNumber === number)) {
      world.subnets.delete(`${vni}/${number}`);
      world.tables.delete(`${vni}/${number}`);
      return [remove(keys.subnet(vni, number) as never), remove(keys.slots(vni, number) as never)];
    }
    if (kind === 1) return [vpc(vni)];
    if (kind === 2) return [subnet(vni, number)];
    if (kind <= 4) return [table(vni, 0)];
    if (kind <= 7) return [table(vni, number)];
    return endpointTxn(vni, number);
  };
  return { txn, revision: () => revision };
};

const copyOf = (world: World): World => ({
  vpcs: new Map(world.vpcs),
  subnets: new Map(world.subnets),
  tables: new Map(world.tables),
  endpoints: new Map(world.endpoints),
});

describe('what hosts know, through anything that is written', () => {
  it.each([1, 2, 3, 4, 5, 6])('is what the rules say (seed %i)', (seed) => {
    const pick = random(seed);
    const world = emptyWorld();
    const { txn, revision } = writer(world, pick);
    const mirror = emptyMirror();
    const hosts = new Map(hostNames.map((name) => [name, { know: knowledge(name), told: new Map() as Told }]));
    const history = new Map<number, World>();
    for (let batch = 0; batch < 400; batch += 1) {
      const events: WatchEvent[] = [];
      for (let left = 1 + pick(4); left > 0; left -= 1) {
        events.push(...txn());
        history.set(revision(), copyOf(world));
      }
      const listeners = new Map<string, Listener>(
        [...hosts].map(([host, { know }]) => [host, { ...know, loading: false }]),
      );
      for (const [host, groups] of routeBatch(mirror, { revision: revision(), snapshot: false, events }, listeners)) {
        const { know, told } = hosts.get(host) ?? { know: knowledge(host), told: new Map() as Told };
        for (const group of groups) {
          for (const step of know.steps(group.events, group.revision, 0)) take(told, know, step, history);
        }
      }
      for (const [host, { told }] of hosts) {
        expect({ batch, host, told: [...told].sort() }).toEqual({
          batch,
          host,
          told: [...mustKnow(world, host)].sort(),
        });
      }
    }
  });
});
