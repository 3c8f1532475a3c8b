export {
  type Address,
  addressFromBigint,
  addressFromHex,
  addressHex,
  addressToBigint,
  compareAddresses,
  type Family,
  familyOf,
  formatAddress,
  parseAddress,
  sameAddress,
} from './address';
export {
  broadcastAddress,
  type Cidr,
  cidrContainsCidr,
  cidrSize,
  contains,
  firstHost,
  type HostRange,
  hostRange,
  lastAddress,
  networkAddress,
  nthAddress,
  overlaps,
  parseCidr,
} from './cidr';
export { type Code, codes, type ErrorFields, MegrezError } from './error';
export * from './gen/megrez/v1/common';
export * from './gen/megrez/v1/endpoint';
export * from './gen/megrez/v1/host';
export * from './gen/megrez/v1/lookup';
export * from './gen/megrez/v1/lookup.client';
export * from './gen/megrez/v1/lookup.grpc-server';
export * from './gen/megrez/v1/node';
export * from './gen/megrez/v1/node.client';
export * from './gen/megrez/v1/node.grpc-server';
export * from './gen/megrez/v1/provisioning';
export * from './gen/megrez/v1/provisioning.client';
export * from './gen/megrez/v1/provisioning.grpc-server';
export * from './gen/megrez/v1/relay';
export * from './gen/megrez/v1/relay.client';
export * from './gen/megrez/v1/relay.grpc-server';
export * from './gen/megrez/v1/service';
export * from './gen/megrez/v1/shard';
export * from './gen/megrez/v1/shard.client';
export * from './gen/megrez/v1/shard.grpc-server';
export * from './gen/megrez/v1/subnet';
export * from './gen/megrez/v1/vpc';
export { limits } from './limits';
export { defaultMac, formatMac, gatewayMac, type Mac, parseMac } from './mac';
export {
  type Kind,
  objectName,
  parseEndpointPath,
  parseServicePath,
  parseSubnetPath,
  parseVpcPath,
  validateName,
} from './names';
export * from './validate';
