import {
  type GetServiceRequest,
  type ListServicesRequest,
  type ListServicesResponse,
  MegrezError,
  objectName,
  type Service,
  validateListServices,
  validateServiceName,
} from '@megrez/model';
import { type Entry, keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { Stored } from '../mirror';
import { findSubnet, findVpc, shown } from '../provisioning/lookup';
import { readPage } from '../provisioning/paging';

/** @throws MegrezError NOT_FOUND */
export const findService = async (
  context: Context,
  { vpc, subnet, name }: GetServiceRequest,
): Promise<Entry<Service>> => {
  const { vni, number } = (await findSubnet(context, vpc, subnet, true)).subnet.value;
  const entry = await context.store.get(keys.service(vni, number, name));
  if (entry !== undefined) return entry;
  const object = objectName.service(vpc, subnet, name);
  throw new MegrezError({
    code: 'NOT_FOUND',
    reason: 'SERVICE_NOT_FOUND',
    object,
    message: `${object} does not exist`,
  });
};

/** As the API shows it: nobody but agents needs the table. */
export const shownService = ({ value, revision }: Stored<Service>): Service =>
  shown({ value: { ...value, buckets: new Uint8Array(0) }, revision });

export const getService = async (context: Context, request: GetServiceRequest): Promise<Service> => {
  validateServiceName(request);
  return shownService(await findService(context, request));
};

export const listServices = async (context: Context, request: ListServicesRequest): Promise<ListServicesResponse> => {
  const size = validateListServices(request);
  const { vpc, subnet } = request;
  const within = subnet === '' ? undefined : (await findSubnet(context, vpc, subnet)).subnet.value;
  const vni = within?.vni ?? (vpc === '' ? undefined : (await findVpc(context, vpc, true)).value.vni);
  const prefix = prefixes.services(vni, within?.number);
  const { entries, next } = await readPage(context.store, prefix, size, request.pageToken);
  return { services: entries.map(shownService), nextPageToken: next };
};
