import type { Cidr } from '../cidr';
import type {
  CreateVpcRequest,
  DeleteVpcRequest,
  GetVpcRequest,
  ListVpcsRequest,
  UpdateVpcRequest,
} from '../gen/megrez/v1/vpc';
import { objectName, validateName } from '../names';
import { cidrsField } from './cidrs';
import { countField, pageField, requestIdField } from './fields';

/** The VPC's prefixes. All functions here throw MegrezError INVALID_ARGUMENT. */
export const validateCreateVpc = (request: CreateVpcRequest): { readonly cidrs: readonly Cidr[] } => {
  const object = vpcName(request);
  countField(object, 'dividers', request.dividers);
  requestIdField(object, request.requestId);
  return { cidrs: cidrsField(object, 'vpc', request.cidrs) };
};

export const validateUpdateVpc = (request: UpdateVpcRequest): void => {
  countField(vpcName(request), 'dividers', request.dividers);
};

/** For Get and Delete. */
export const validateVpcName = (request: GetVpcRequest | DeleteVpcRequest): void => {
  vpcName(request);
};

/** The page size. */
export const validateListVpcs = (request: ListVpcsRequest): number => pageField('vpcs', request);

const vpcName = ({ name }: { readonly name: string }): string => {
  validateName('vpc', name);
  return objectName.vpc(name);
};
