export { type Io, processIo } from './io';
export { createProgram, version } from './program';
export { run } from './run';
