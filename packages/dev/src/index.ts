export { type DevDownOptions, type DevDownResult, devDown } from './down';
export { type DevExecOptions, devExec, devHost, execCommand, hostCommand } from './exec';
export { agentSocket, directoryOf, layout } from './layout';
export { readMetrics, type Sample } from './metrics';
export { type DevHost, planHosts, type Underlay, underlays } from './plan';
export { findProgram } from './program';
export { type DevSignal, type DevSignalOptions, devSignal } from './signal';
export { cpuMask, hostBatch, queuedPin, type UnderlayObjects, underlayBatch, underlaySetup } from './underlay';
export { type DevCluster, type DevUpOptions, devUp } from './up';
