import { type Attachment, Endpoint, type Host } from '@megrez/model';
import { type Compare, keys, type Operation } from '@megrez/store';
import type { Stored } from '../mirror';
import { keysOf } from './endpoint-draft';
import type { SubnetView } from './lookup';

/** One txn of a move: everything of the endpoint changes together, or nothing does. */
export interface Step {
  readonly compares: Compare[];
  readonly operations: Operation[];
}

/** Step 1: the new host is to make the endpoint; its own copy says how it is attached there. */
export const beginning = (
  { value, revision }: Stored<Endpoint>,
  view: SubnetView,
  target: Stored<Host>,
  attachment: Attachment,
): Step => {
  const next = { ...value, movingTo: target.value.name };
  return {
    compares: [...compares(value, revision, view), hostUnchanged(target)],
    operations: [
      ...withdrawn(value),
      ...stored(next),
      copyAt(value.host, next),
      copyAt(next.movingTo, { ...next, attachment }),
      { kind: 'put', key: keysOf(value).move, value: index(value) },
    ],
  };
};

/** Before the switch nothing but a host that made the endpoint in vain has to forget it. */
export const cancellation = ({ value, revision }: Stored<Endpoint>, view: SubnetView): Step => {
  const next = { ...value, movingTo: '' };
  return {
    compares: compares(value, revision, view),
    operations: [
      ...withdrawn(value),
      ...stored(next),
      copyAt(value.host, next),
      { kind: 'remove', key: keysOf(value).move },
    ],
  };
};

/** Step 2: the endpoint is at the new host; the old one goes on serving what it has. */
export const switchover = (
  { value, revision }: Stored<Endpoint>,
  view: SubnetView,
  target: Stored<Host>,
  attachment: Attachment | undefined,
): Step => {
  const { attachment: before, ...rest } = value;
  const moved = {
    ...rest,
    host: target.value.name,
    hostAddress: target.value.address,
    movingTo: '',
    movedFrom: value.host,
  };
  const next = attachment === undefined ? moved : { ...moved, attachment };
  const old = before === undefined ? moved : { ...moved, attachment: before };
  return {
    compares: [...compares(value, revision, view), hostUnchanged(target)],
    operations: [
      ...stored(next),
      copyAt(value.host, old),
      copyAt(next.host, next),
      { kind: 'put', key: keysOf(value).move, value: index(value) },
    ],
  };
};

/** Step 3: the old host is to forget the endpoint. */
export const finish = ({ value, revision }: Stored<Endpoint>, view: SubnetView): Step => {
  const next = { ...value, movedFrom: '' };
  const { vni, subnetNumber } = value;
  const { ip, move } = keysOf(value);
  return {
    compares: compares(value, revision, view),
    operations: [
      ...stored(next),
      copyAt(value.host, next),
      { kind: 'remove', key: keys.byHost(value.movedFrom, vni, subnetNumber, ip) },
      { kind: 'remove', key: move },
    ],
  };
};

/** The slot table too: who must know is who held the slots when it was written. */
const compares = (endpoint: Endpoint, revision: number, view: SubnetView): Compare[] => {
  const { vni, subnetNumber } = endpoint;
  return [
    { kind: 'revision', key: keysOf(endpoint).endpoint, revision },
    { kind: 'revision', key: keys.subnet(vni, subnetNumber), revision: view.subnet.revision },
    { kind: 'revision', key: keys.slots(vni, subnetNumber), revision: view.table.revision },
  ];
};

const hostUnchanged = ({ value, revision }: Stored<Host>): Compare => ({
  kind: 'revision',
  key: keys.host(value.name),
  revision,
});

/** Under the slot of each of its addresses. */
const stored = (endpoint: Endpoint): Operation[] =>
  keysOf(endpoint).slots.map((key) => ({ kind: 'put', key, value: endpoint }));

const copyAt = (host: string, endpoint: Endpoint): Operation => {
  const { vni, subnetNumber } = endpoint;
  return { kind: 'put', key: keys.byHost(host, vni, subnetNumber, keysOf(endpoint).ip), value: endpoint };
};

/** The copy at a host to which the endpoint was on its way before. */
const withdrawn = (endpoint: Endpoint): Operation[] => {
  const { vni, subnetNumber, movingTo } = endpoint;
  if (movingTo === '') return [];
  return [{ kind: 'remove', key: keys.byHost(movingTo, vni, subnetNumber, keysOf(endpoint).ip) }];
};

const index = ({ vpc, subnet, name, vni, subnetNumber, slot, ip }: Endpoint): Endpoint =>
  Endpoint.create({ vpc, subnet, name, vni, subnetNumber, slot, ip });
