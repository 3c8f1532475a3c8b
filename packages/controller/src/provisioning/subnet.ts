import {
  type CreateSubnetRequest,
  checkSubnetInVpc,
  checkSubnetOverlap,
  firstHost,
  formatAddress,
  type GetSubnetRequest,
  type ListSubnetsRequest,
  type ListSubnetsResponse,
  limits,
  MegrezError,
  objectName,
  Subnet,
  type UpdateSubnetRequest,
  type Vpc,
  validateCreateSubnet,
  validateListSubnets,
  validateSubnetName,
  validateUpdateSubnet,
} from '@megrez/model';
import { place } from '@megrez/ring';
import { type Compare, type Entry, type KeyCompare, keys, type Operation, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import type { Call } from '../server/rpc';
import { catchUp, deletingError, findVpc, newMeta, shown, subnetNotFound } from './lookup';
import { confirmOwners, ownerHosts } from './owners';
import { readPage } from './paging';
import { ownersUnchanged, placeFirstDividers, placeHosts } from './placement';
import { contended, sameRequest } from './vpc';

const attempts = 20;

/** Subnet, name and first slot table in one txn; returns when bouncers and dividers have them. */
export const createSubnet = async (context: Context, request: CreateSubnetRequest, call: Call): Promise<Subnet> => {
  const { store } = context;
  const { cidrs } = validateCreateSubnet(request);
  const object = objectName.subnet(request.vpc, request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const vpc = await findVpc(context, request.vpc, true);
    const { vni } = vpc.value;
    if (vpc.value.meta?.deleting === true) throw deletingError(object, objectName.vpc(request.vpc));
    const counterKey = keys.subnetCounter(vni);
    const nameKey = keys.subnetName(vni, request.name);
    // The counter is read before the subnets: whoever adds one meanwhile changes it, and the txn fails.
    const [counter, index] = (await store.getMany<Subnet>([counterKey, nameKey])) as (Entry<Subnet> | undefined)[];
    if (index !== undefined) {
      const existing = await store.get(keys.subnet(vni, index.value.number));
      if (existing === undefined) continue;
      return confirm(context, sameRequest(existing, request.requestId, object), existing.revision, call);
    }
    checkSubnetInVpc(object, cidrs, vpc.value);
    const others = await store.range(prefixes.subnets(vni));
    await catchUp(context, others.revision);
    checkSubnetOverlap(
      object,
      cidrs,
      others.entries.map(({ value }) => value),
    );
    const number = (counter?.value.number ?? 0) + 1;
    if (number > max_subnets) throw exhausted(object);
    const table = place({
      vni,
      subnet: number,
      object,
      hosts: placeHosts(context),
      bouncers: request.bouncers,
      pinned: request.bouncerHosts,
    });
    const subnet = Subnet.create({
      meta: newMeta(request.requestId),
      vpc: request.vpc,
      name: request.name,
      cidrs: cidrs.map(({ text }) => text),
      vni,
      number,
      bouncers: table.owners.length,
      bouncerHosts: [...request.bouncerHosts],
      gateways: cidrs.map((cidr) => formatAddress(firstHost(cidr))),
    });
    const dividers = await firstDividers(context, vpc, object);
    const compares: Compare[] = [
      { kind: 'revision', key: keys.vpc(request.vpc), revision: vpc.revision },
      { kind: 'absent', key: nameKey },
      { kind: 'absent', key: keys.subnet(vni, number) },
      counter === undefined
        ? { kind: 'absent', key: counterKey }
        : { kind: 'revision', key: counterKey, revision: counter.revision },
      ...dividers.compares,
      ...ownersUnchanged(context, table).filter(
        ({ key }) => !dividers.compares.some((other) => other.key.path === key.path),
      ),
    ];
    const result = await store.txn(compares, [
      ...dividers.operations,
      { kind: 'put', key: keys.subnet(vni, number), value: subnet },
      { kind: 'put', key: nameKey, value: Subnet.create({ vni, number }) },
      { kind: 'put', key: keys.slots(vni, number), value: table },
      { kind: 'put', key: counterKey, value: Subnet.create({ number }) },
    ]);
    if (result.succeeded) {
      return confirm(context, shown({ value: subnet, revision: result.revision }), result.revision, call);
    }
    context.metrics.retries.inc();
  }
  throw contended(object);
};

/** Places the dividers of a VPC that was made when there was no host for them; nothing to write for any other. */
const firstDividers = async (
  context: Context,
  { value: vpc }: Stored<Vpc>,
  object: string,
): Promise<{ readonly compares: readonly KeyCompare[]; readonly operations: readonly Operation[] }> => {
  const { vni } = vpc;
  const key = keys.slots(vni, 0);
  const present = await context.store.get(key);
  if (present !== undefined && present.value.owners.length > 0) return { compares: [], operations: [] };
  const table = placeFirstDividers(context, {
    vni,
    object,
    dividers: vpc.dividers,
    ...(present === undefined ? {} : { table: present.value }),
  });
  const dividers = vpc.dividers || table.owners.length;
  return {
    compares: [
      present === undefined ? { kind: 'absent', key } : { kind: 'revision', key, revision: present.revision },
      ...ownersUnchanged(context, table),
    ],
    operations: [
      { kind: 'put', key, value: table },
      ...(dividers === vpc.dividers
        ? []
        : [{ kind: 'put', key: keys.vpc(vpc.name), value: { ...vpc, dividers } } as const]),
    ],
  };
};

/** 24 bits, like the VNI. */
const max_subnets = limits.vni;

const exhausted = (object: string): MegrezError =>
  new MegrezError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'SUBNETS_EXHAUSTED',
    object,
    message: 'the VPC has used up all subnet numbers',
  });

/** Bouncers and dividers, as they are by now: whoever became one later had the subnet before it said so. */
const confirm = async (context: Context, subnet: Subnet, revision: number, call: Call): Promise<Subnet> => {
  const { vni, number, vpc, name } = subnet;
  const tables = await context.store.getMany([keys.slots(vni, number), keys.slots(vni, 0)]);
  const hosts = ownerHosts(...tables.map((table) => table?.value));
  await confirmOwners(context, { object: objectName.subnet(vpc, name), hosts, revision, call, what: 'is stored' });
  return subnet;
};

export const getSubnet = async (context: Context, request: GetSubnetRequest): Promise<Subnet> => {
  validateSubnetName(request);
  const vpc = await findVpc(context, request.vpc, true);
  const index = await context.store.get(keys.subnetName(vpc.value.vni, request.name));
  const subnet = index && (await context.store.get(keys.subnet(vpc.value.vni, index.value.number)));
  if (subnet === undefined) throw subnetNotFound(request.vpc, request.name);
  return shown(subnet);
};

/** Stores how many bouncers, and which, there are to be; the leader moves the slots. */
export const updateSubnet = async (context: Context, request: UpdateSubnetRequest): Promise<Subnet> => {
  validateUpdateSubnet(request);
  const { store } = context;
  const object = objectName.subnet(request.vpc, request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const current = await getSubnet(context, request);
    const { vni, number, meta } = current;
    if (meta?.deleting === true) throw deletingError(object, object);
    const { bouncers, bouncerHosts } = request;
    const wished = place({ vni, subnet: number, object, hosts: placeHosts(context), bouncers, pinned: bouncerHosts });
    const subnet: Subnet = {
      ...current,
      meta: { ...(meta ?? newMeta('')), generation: 0 },
      bouncers: wished.owners.length,
      bouncerHosts: [...bouncerHosts],
    };
    const key = keys.subnet(vni, number);
    const compares: Compare[] = [{ kind: 'revision', key, revision: meta?.generation ?? 0 }];
    const result = await store.txn(compares, [{ kind: 'put', key, value: subnet }]);
    if (result.succeeded) return shown({ value: subnet, revision: result.revision });
    context.metrics.retries.inc();
  }
  throw contended(object);
};

export const listSubnets = async (context: Context, request: ListSubnetsRequest): Promise<ListSubnetsResponse> => {
  const size = validateListSubnets(request);
  const vni = request.vpc === '' ? undefined : (await findVpc(context, request.vpc, true)).value.vni;
  const { entries, next } = await readPage(context.store, prefixes.subnets(vni), size, request.pageToken);
  return { subnets: entries.map(shown), nextPageToken: next };
};
