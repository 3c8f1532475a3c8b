export { startAgent } from './agent';
export type { Agent, AgentOptions, NicHook } from './options';
