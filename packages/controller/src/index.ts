export type { Controller, ControllerOptions, LeaseOptions } from './options';
export { startController } from './start';
