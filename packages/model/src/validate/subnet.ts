import { type Cidr, cidrContainsCidr, overlaps, parseCidr } from '../cidr';
import { MegrezError } from '../error';
import type {
  CreateSubnetRequest,
  DeleteSubnetRequest,
  GetSubnetRequest,
  ListSubnetsRequest,
  Subnet,
  UpdateSubnetRequest,
} from '../gen/megrez/v1/subnet';
import { limits } from '../limits';
import { objectName, validateName } from '../names';
import { cidrsField } from './cidrs';
import { countField, pageField, refuse, requestIdField } from './fields';

/** The subnet's prefixes. Unless said otherwise, functions here throw MegrezError INVALID_ARGUMENT. */
export const validateCreateSubnet = (request: CreateSubnetRequest): { readonly cidrs: readonly Cidr[] } => {
  const object = subnetName(request);
  bouncerFields(object, request);
  requestIdField(object, request.requestId);
  return { cidrs: cidrsField(object, 'subnet', request.cidrs) };
};

export const validateUpdateSubnet = (request: UpdateSubnetRequest): void => {
  bouncerFields(subnetName(request), request);
};

/** For Get and Delete. */
export const validateSubnetName = (request: GetSubnetRequest | DeleteSubnetRequest): void => {
  subnetName(request);
};

/** The page size. */
export const validateListSubnets = (request: ListSubnetsRequest): number => {
  if (request.vpc !== '') validateName('vpc', request.vpc);
  return pageField('subnets', request);
};

/** Every CIDR of the subnet lies in one of its VPC's. */
export const checkSubnetInVpc = (
  object: string,
  cidrs: readonly Cidr[],
  vpc: { readonly name: string; readonly cidrs: readonly string[] },
): void => {
  const outer = vpc.cidrs.map(parseCidr);
  for (const cidr of cidrs) {
    if (!outer.some((candidate) => cidrContainsCidr(candidate, cidr))) {
      throw refuse(object, 'CIDR_OUTSIDE_VPC', `${cidr.text} is not inside vpc ${vpc.name} (${vpc.cidrs.join(', ')})`);
    }
  }
};

/** @throws MegrezError FAILED_PRECONDITION / CIDR_OVERLAP naming the other subnet of the VPC */
export const checkSubnetOverlap = (
  object: string,
  cidrs: readonly Cidr[],
  others: Iterable<Pick<Subnet, 'vpc' | 'name' | 'cidrs'>>,
): void => {
  for (const other of others) {
    for (const text of other.cidrs) {
      const taken = parseCidr(text);
      const cidr = cidrs.find((candidate) => overlaps(candidate, taken));
      if (cidr === undefined) continue;
      throw new MegrezError({
        code: 'FAILED_PRECONDITION',
        reason: 'CIDR_OVERLAP',
        object,
        message: `${cidr.text} overlaps ${taken.text} of ${objectName.subnet(other.vpc, other.name)}`,
      });
    }
  }
};

const bouncerFields = (
  object: string,
  { bouncers, bouncerHosts }: { readonly bouncers: number; readonly bouncerHosts: readonly string[] },
): void => {
  countField(object, 'bouncers', bouncers);
  countField(object, 'bouncers', bouncerHosts.length);
  for (const host of bouncerHosts) validateName('host', host, object);
  const twice = bouncerHosts.find((host, i) => bouncerHosts.indexOf(host) !== i);
  if (twice !== undefined) throw refuse(object, 'DUPLICATE_HOST', `bouncer host ${twice} is named twice`);
  if (bouncers !== 0 && bouncerHosts.length > bouncers) {
    throw refuse(
      object,
      'TOO_MANY_BOUNCER_HOSTS',
      `${bouncerHosts.length} bouncer hosts are named for ${bouncers} bouncers`,
    );
  }
};

const subnetName = ({ vpc, name }: { readonly vpc: string; readonly name: string }): string => {
  const object = objectName.subnet(vpc, name);
  validateName('vpc', vpc, object);
  validateName('subnet', name, object);
  return object;
};

/** A VNI is 24 bits and not 0. */
export const validateVni = (object: string, vni: number): number => {
  if (Number.isInteger(vni) && vni >= 1 && vni <= limits.vni) return vni;
  throw refuse(object, 'INVALID_VNI', `${vni} is not a VNI: 1 to ${limits.vni}`);
};
