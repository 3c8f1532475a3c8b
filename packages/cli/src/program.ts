import { Command, Option } from 'commander';
import { several } from './arguments';
import { agent } from './command/agent';
import { apply } from './command/apply';
import { controller } from './command/controller';
import { dev } from './command/dev';
import { endpoint } from './command/endpoint';
import { host } from './command/host';
import { resolve } from './command/resolve';
import { service } from './command/service';
import { shard } from './command/shard';
import { status } from './command/status';
import { subnet } from './command/subnet';
import { vpc } from './command/vpc';
import { oneLine } from './failure';
import type { Io } from './io';
import { formats } from './output';

export const version = '0.1.0';

/** The whole command tree. Nothing is loaded before it is needed: a command imports its package when it runs. */
export const createProgram = (io: Io): Command => {
  const program = new Command('megrez')
    .description('virtual networks for tenants of a fleet of Linux hosts')
    .version(version)
    .addOption(new Option('-o, --output <format>', 'how to print').choices(formats).default('table'))
    .addOption(several('--server <address>', 'controller: HOST:PORT or unix:/PATH; also MEGREZ_SERVER'))
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: io.stdout,
      writeErr: io.stderr,
      outputError: (text, write) => write(`megrez: ${oneLine(text.replace(/^error: /, ''))}\n`),
    })
    .exitOverride()
    .addHelpText(
      'after',
      '\nExample:\n  megrez dev up --hosts 3 && megrez vpc create acme --cidr 10.0.0.0/16 && megrez status',
    );
  for (const register of [
    vpc,
    subnet,
    endpoint,
    service,
    host,
    shard,
    resolve,
    status,
    apply,
    controller,
    agent,
    dev,
  ]) {
    register(program, io);
  }
  return program;
};
