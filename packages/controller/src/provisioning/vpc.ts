import {
  type CreateVpcRequest,
  type DeleteVpcRequest,
  type GetVpcRequest,
  type ListVpcsRequest,
  type ListVpcsResponse,
  limits,
  MegrezError,
  objectName,
  type UpdateVpcRequest,
  Vpc,
  validateCreateVpc,
  validateListVpcs,
  validateUpdateVpc,
  validateVpcName,
} from '@megrez/model';
import { type Entry, keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { Call } from '../server/rpc';
import { removeServices } from '../services';
import { deletingError, findVpc, newMeta, shown, vpcNotFound } from './lookup';
import { confirmOwners } from './owners';
import { readPage } from './paging';
import { canPlace, ownersUnchanged, placeDividers, unplacedDividers } from './placement';
import { removeSubnet, unchanged } from './subnet-delete';

const attempts = 20;

/** VPC, VNI and the table of its dividers in one txn. */
export const createVpc = async (context: Context, request: CreateVpcRequest): Promise<Vpc> => {
  const { store } = context;
  const { cidrs } = validateCreateVpc(request);
  const object = objectName.vpc(request.name);
  const vpcKey = keys.vpc(request.name);
  const counterKey = keys.vniCounter();
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const [existing, counter] = (await store.getMany<Vpc>([vpcKey, counterKey])) as (Entry<Vpc> | undefined)[];
    if (existing !== undefined) return sameRequest(existing, request.requestId, object);
    const vni = (counter?.value.vni ?? 0) + 1;
    if (vni > limits.vni) {
      throw new MegrezError({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'VNIS_EXHAUSTED',
        object,
        message: `all ${limits.vni} VNIs have been given out`,
      });
    }
    const { dividers } = request;
    const table = canPlace(context) ? placeDividers(context, { vni, object, dividers }) : unplacedDividers(vni);
    const vpc = Vpc.create({
      meta: newMeta(request.requestId),
      name: request.name,
      cidrs: cidrs.map(({ text }) => text),
      vni,
      dividers: dividers || table.owners.length,
    });
    const result = await store.txn(
      [
        { kind: 'absent', key: vpcKey },
        { kind: 'absent', key: keys.vni(vni) },
        counter === undefined
          ? { kind: 'absent', key: counterKey }
          : { kind: 'revision', key: counterKey, revision: counter.revision },
        ...ownersUnchanged(context, table),
      ],
      [
        { kind: 'put', key: vpcKey, value: vpc },
        { kind: 'put', key: keys.slots(vni, 0), value: table },
        { kind: 'put', key: keys.vni(vni), value: Vpc.create({ name: request.name }) },
        { kind: 'put', key: counterKey, value: Vpc.create({ vni }) },
      ],
    );
    if (result.succeeded) return shown({ value: vpc, revision: result.revision });
    context.metrics.retries.inc();
  }
  throw contended(object);
};

/** A repeated create answers what the first one made; another one of the same name is refused. */
export const sameRequest = <T extends { meta?: Vpc['meta'] }>(
  existing: Pick<Entry<T>, 'value' | 'revision'>,
  requestId: string,
  object: string,
): T => {
  if (requestId !== '' && existing.value.meta?.requestId === requestId) return shown(existing);
  throw new MegrezError({ code: 'ALREADY_EXISTS', reason: 'NAME_IN_USE', object, message: `${object} exists already` });
};

export const contended = (object: string): MegrezError =>
  new MegrezError({
    code: 'ABORTED',
    reason: 'CONTENDED',
    object,
    message: `too many others change what ${object} depends on; try again`,
  });

export const getVpc = async (context: Context, request: GetVpcRequest): Promise<Vpc> => {
  validateVpcName(request);
  return shown(await findVpc(context, request.name, true));
};

/** Stores how many dividers there are to be; the leader moves the slots. 0 asks for the default. */
export const updateVpc = async (context: Context, request: UpdateVpcRequest): Promise<Vpc> => {
  validateUpdateVpc(request);
  const object = objectName.vpc(request.name);
  const key = keys.vpc(request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { value, revision } = await findVpc(context, request.name, true);
    if (value.meta?.deleting === true) throw deletingError(object, object);
    const { dividers } = request;
    // With no host there is nobody to be too many for.
    const placed = canPlace(context)
      ? placeDividers(context, { vni: value.vni, object, dividers }).owners.length
      : dividers;
    const vpc = { ...value, dividers: placed };
    const result = await context.store.txn([{ kind: 'revision', key, revision }], [{ kind: 'put', key, value: vpc }]);
    if (result.succeeded) return shown({ value: vpc, revision: result.revision });
    context.metrics.retries.inc();
  }
  throw contended(object);
};

export const listVpcs = async ({ store }: Context, request: ListVpcsRequest): Promise<ListVpcsResponse> => {
  const size = validateListVpcs(request);
  const { entries, next } = await readPage(store, prefixes.vpcs(), size, request.pageToken);
  return { vpcs: entries.map(shown), nextPageToken: next };
};

/**
 * With `cascade` the VPC is marked first, so that nothing new comes into it, and everything inside goes; a call that
 * was interrupted is taken up by the next one.
 */
export const deleteVpc = async (context: Context, request: DeleteVpcRequest, call: Call): Promise<Vpc> => {
  validateVpcName(request);
  const { store } = context;
  const object = objectName.vpc(request.name);
  const key = keys.vpc(request.name);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const vpc = await store.get(key);
    if (vpc === undefined) throw vpcNotFound(request.name);
    const { vni } = vpc.value;
    const inside = (await store.range(prefixes.subnets(vni))).entries;
    if (inside.length > 0 && !request.cascade) {
      throw new MegrezError({
        code: 'FAILED_PRECONDITION',
        reason: 'VPC_IN_USE',
        object,
        message: `${object} has ${inside.length} subnet${inside.length === 1 ? '' : 's'}: delete ${inside.length === 1 ? 'it' : 'them'} first, or cascade`,
      });
    }
    if (inside.length > 0) {
      if (vpc.value.meta?.deleting !== true) {
        const value = { ...vpc.value, meta: { ...(vpc.value.meta ?? newMeta('')), deleting: true } };
        await store.txn([{ kind: 'revision', key, revision: vpc.revision }], [{ kind: 'put', key, value }]);
      }
      await removeServices(context, vni, undefined, call);
      for (const { value } of inside) await removeSubnet(context, value, true, call);
      continue;
    }
    const tableKey = keys.slots(vni, 0);
    const table = await store.get(tableKey);
    const result = await store.txn(
      [
        { kind: 'revision', key, revision: vpc.revision },
        { kind: 'empty', prefix: prefixes.subnets(vni) },
        unchanged(tableKey, table),
      ],
      [
        { kind: 'remove', key },
        { kind: 'remove', key: keys.vni(vni) },
        { kind: 'remove', key: keys.subnetCounter(vni) },
        { kind: 'remove', key: tableKey },
      ],
    );
    if (result.succeeded) {
      const dividers = table?.value.owners.map(({ host }) => host) ?? [];
      await confirmOwners(context, { object, hosts: dividers, revision: result.revision, call, what: 'is removed' });
      return shown(vpc);
    }
    context.metrics.retries.inc();
  }
  throw contended(object);
};
