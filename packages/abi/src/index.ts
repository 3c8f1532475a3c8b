export { u32 } from './bytes';
export * from './gen/enums';
export * from './gen/maps';
export * from './gen/structs';
export { decodePerCpu } from './per-cpu';
export {
  counterIndex,
  isDrop,
  type ProgramWord,
  programWords,
  type VerdictWord,
  verdictWord,
  verdictWords,
} from './verdicts';
export { encapsulationMax, gatewayMac, genevePort, optionClass } from './wire';
