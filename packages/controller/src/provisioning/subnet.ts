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
  validateCreateSubnet,
  validateListSubnets,
  validateSubnetName,
} from '@megrez/model';
import { type PlaceHost, place } from '@megrez/ring';
import { type Compare, type Entry, keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import { tableView } from '../mirror';
import { isAttached } from '../relay/attachment';
import { lateError, waitHosts } from '../relay/readiness';
import type { Call } from '../server/rpc';
import { catchUp, findVpc, newMeta, shown, subnetNotFound } from './lookup';
import { readPage } from './paging';
import { contended, sameRequest } from './vpc';

const attempts = 20;

/** Subnet, name and first slot table in one txn; returns when the bouncers have the table. */
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
    const compares: Compare[] = [
      { kind: 'revision', key: keys.vpc(request.vpc), revision: vpc.revision },
      { kind: 'absent', key: nameKey },
      { kind: 'absent', key: keys.subnet(vni, number) },
      counter === undefined
        ? { kind: 'absent', key: counterKey }
        : { kind: 'revision', key: counterKey, revision: counter.revision },
      ...table.owners.map(
        ({ host }): Compare => ({
          kind: 'revision',
          key: keys.host(host),
          revision: context.mirror.hosts.get(host)?.revision ?? 0,
        }),
      ),
    ];
    const result = await store.txn(compares, [
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

/** 24 bits, like the VNI. */
const max_subnets = limits.vni;

const exhausted = (object: string): MegrezError =>
  new MegrezError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'SUBNETS_EXHAUSTED',
    object,
    message: 'the VPC has used up all subnet numbers',
  });

export const deletingError = (object: string, what: string): MegrezError =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'BEING_DELETED',
    object,
    message: `${what} is being deleted; nothing new can come into it`,
  });

const placeHosts = (context: Context): PlaceHost[] =>
  [...context.mirror.hosts.values()].map(({ value }) => ({
    name: value.name,
    address: value.address,
    weight: value.weight,
    zone: value.zone,
    eligible: !value.ineligible && isAttached(context, value.name),
  }));

const confirm = async (context: Context, subnet: Subnet, revision: number, call: Call): Promise<Subnet> => {
  const table = await context.store.get(keys.slots(subnet.vni, subnet.number));
  const owners = table === undefined ? [] : [...tableView(table.value, table.revision).slotsOf.keys()];
  const started = performance.now();
  const deadline_ms = Math.min(call.deadline_ms, started + limits.timeout_ms.default);
  const { late } = await waitHosts(context, { hosts: owners, required: new Set(), revision, deadline_ms });
  const object = objectName.subnet(subnet.vpc, subnet.name);
  if (late.length > 0) throw lateError(object, late, deadline_ms - started, 'is stored');
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

export const listSubnets = async (context: Context, request: ListSubnetsRequest): Promise<ListSubnetsResponse> => {
  const size = validateListSubnets(request);
  const vni = request.vpc === '' ? undefined : (await findVpc(context, request.vpc, true)).value.vni;
  const { entries, next } = await readPage(context.store, prefixes.subnets(vni), size, request.pageToken);
  return { subnets: entries.map(shown), nextPageToken: next };
};
