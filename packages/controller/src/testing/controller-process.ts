/** A controller in a process of its own, for specs that kill it. Prints its addresses as a line of JSON. */
import { type ControllerOptions, startController } from '../index';

const controller = await startController(JSON.parse(process.argv[2] ?? '{}') as ControllerOptions);
process.stdout.write(`${JSON.stringify(controller.addresses)}\n`);
