import {
  addressHex,
  type BouncerAnswer,
  contains,
  type Endpoint,
  formatAddress,
  MegrezError,
  objectName,
  parseCidr,
  type ResolveRequest,
  type ResolveResponse,
  validateResolve,
} from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { keys } from '@megrez/store';
import type { Context } from '../context';
import { subnetKey } from '../mirror';
import { whereIs } from '../relay/attachment';
import { catchUp, findVpc, shown } from './lookup';

const ask_ms = 2_000;

/** What the intent says about an address and, when asked, what each bouncer of its slot holds. */
export const resolve = async (context: Context, request: ResolveRequest): Promise<ResolveResponse> => {
  const { store, mirror } = context;
  const address = validateResolve(request);
  const ip = formatAddress(address);
  const vpc = await findVpc(context, request.vpc, true);
  await catchUp(context, vpc.revision);
  const { vni } = vpc.value;
  const subnet = [...mirror.subnets.values()].find(
    ({ value }) => value.vni === vni && value.cidrs.some((cidr) => contains(parseCidr(cidr), address)),
  )?.value;
  if (subnet === undefined) {
    throw new MegrezError({
      code: 'NOT_FOUND',
      reason: 'NO_SUBNET',
      object: objectName.vpc(request.vpc),
      message: `${ip} is in no subnet of vpc ${request.vpc}`,
    });
  }
  const slot = slotOf(vni, address);
  const table = mirror.tables.get(subnetKey(vni, subnet.number));
  const owners = [...(table?.holders[slot] ?? [])];
  const endpoint = await store.get(keys.endpoint(vni, subnet.number, slot, addressHex(address)));
  return {
    vpc: request.vpc,
    subnet: subnet.name,
    vni,
    slot,
    epoch: table?.value.epoch ?? 0,
    owners,
    ...(endpoint === undefined ? {} : { endpoint: shown<Endpoint>(endpoint) }),
    answers: request.viaBouncer ? await Promise.all(owners.map((host) => askMapping(context, host, vni, ip))) : [],
  };
};

const noAnswer = (host: string, error: string): BouncerAnswer => ({
  host,
  found: false,
  endpointHostAddress: '',
  mac: '',
  generation: 0,
  error,
});

/** What one host's kernel map holds for an address; an error is part of the answer. */
export const askMapping = async (context: Context, host: string, vni: number, ip: string): Promise<BouncerAnswer> => {
  const where = whereIs(context, host);
  try {
    if (where.kind === 'detached') return noAnswer(host, `host ${host} is detached`);
    if (where.kind === 'elsewhere')
      return await context.peers.call(where.address, 'askMapping', { host, vni, ip }, ask_ms);
    return await askHere(context, host, vni, ip);
  } catch (error) {
    return noAnswer(host, (error as Error).message || `host ${host} could not be asked`);
  }
};

export const askHere = async ({ sessions }: Context, host: string, vni: number, ip: string): Promise<BouncerAnswer> => {
  const session = sessions.get(host);
  if (session === undefined) return noAnswer(host, `host ${host} has no session here`);
  const { found, hostAddress, mac, generation } = await session.ask(vni, ip, ask_ms);
  return { host, found, endpointHostAddress: hostAddress, mac, generation, error: '' };
};
