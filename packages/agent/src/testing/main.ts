/** An agent as a process of its own: it works in the namespaces it is started in. Options as JSON in the first argument. */
import { startAgent } from '../agent';
import type { AgentOptions } from '../options';

const agent = await startAgent(JSON.parse(process.argv[2] ?? '{}') as AgentOptions);
process.once('SIGTERM', () => {
  void agent.close().then(() => process.exit(0));
});
