export {
  checkEndpointAddress,
  type EndpointFields,
  validateBatchCreateEndpoints,
  validateCreateEndpoint,
  validateDeleteEndpoint,
  validateGetEndpoint,
  validateListEndpoints,
  validateMoveEndpoint,
} from './endpoint';
export { validateHello, validateHostName, validateListHosts, validateResolve, validateUpdateHost } from './host';
export {
  checkAffinity,
  type ServiceFields,
  validateCreateService,
  validateListServices,
  validateServiceName,
  validateUpdateService,
} from './service';
export {
  checkSubnetInVpc,
  checkSubnetOverlap,
  validateCreateSubnet,
  validateListSubnets,
  validateSubnetName,
  validateUpdateSubnet,
  validateVni,
} from './subnet';
export { validateCreateVpc, validateListVpcs, validateUpdateVpc, validateVpcName } from './vpc';
