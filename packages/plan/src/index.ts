export { defaultLeases, defaultTimes, type HostSettings, planConfig, planUnderlay } from './config';
export type { InterfaceFacts, PlanContext, SubnetFacts } from './context';
export { addressesOf, endpointKeys, planEndpoint, portKeys, presenceOf, staysAsItIs } from './endpoint';
export {
  contextOf,
  emptyKnown,
  endpointId,
  type Known,
  type KnownTable,
  keysOf,
  mergeWork,
  note,
  type OwnEndpoint,
  rowsOf,
  serviceId,
  subnetId,
  type Work,
} from './known';
export { type Intent, plan } from './plan';
export { maskOf, wideLength } from './prefix';
export { type Row, type RowKey, row, rowId, rowKey } from './row';
export { planService, serviceKeys } from './service';
export { planSubnet, subnetFacts, subnetKeys } from './subnet';
export { ownerAddresses, planTable, slotsHeld, tableKeys } from './table';
export { planVpc, vpcKeys } from './vpc';
