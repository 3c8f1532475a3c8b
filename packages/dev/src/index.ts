export { type DevDownOptions, type DevDownResult, devDown } from './down';
export { type DevExecOptions, devExec, devHost, execCommand, hostCommand } from './exec';
export { agentSocket, directoryOf, layout } from './layout';
export type { DevHost } from './plan';
export { type DevSignal, type DevSignalOptions, devSignal } from './signal';
export { type DevCluster, type DevUpOptions, devUp } from './up';
