export { defaultLeases, defaultTimes, type HostSettings, planConfig, planUnderlay } from './config';
export type { InterfaceFacts, PlanContext, SubnetFacts } from './context';
export { endpointKeys, planEndpoint, portKeys } from './endpoint';
export {
  contextOf,
  emptyKnown,
  endpointId,
  type Known,
  type KnownTable,
  keysOf,
  note,
  type OwnEndpoint,
  rowsOf,
  subnetId,
  type Work,
} from './known';
export { type Intent, plan } from './plan';
export { maskOf, wideLength } from './prefix';
export { type Row, type RowKey, row, rowId, rowKey } from './row';
export { subnetFacts } from './subnet';
export { ownerAddresses, planTable, slotsHeld, tableKeys } from './table';
export { planVpc, vpcKeys } from './vpc';
