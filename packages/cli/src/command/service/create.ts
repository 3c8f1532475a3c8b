import type { Command } from 'commander';
import { duration } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { serviceView } from '../../views';
import {
  type affinities,
  affinityOf,
  affinityOption,
  type BackendText,
  backendOption,
  backendsOf,
  type PortText,
  portOption,
  portsOf,
  refusalOf,
  refusalOption,
  type refusals,
} from './fields';

interface Flags {
  readonly ip?: string;
  readonly port: readonly PortText[];
  readonly backend?: readonly BackendText[];
  readonly affinity?: (typeof affinities)[number];
  readonly affinityTimeout?: number;
  readonly drain?: number;
  readonly refusal?: (typeof refusals)[number];
  readonly requestId?: string;
}

export const serviceCreate = (parent: Command, io: Io): void => {
  parent
    .command('create')
    .description('create a service: one address whose flows are spread over backends')
    .argument('<vpc/subnet/name>')
    .option('--ip <address>', 'its address in the subnet (default: a free one)')
    .addOption(
      portOption(
        '--port <listen[:target][/protocol]>',
        'port of the service and of its backends',
      ).makeOptionMandatory(),
    )
    .addOption(
      backendOption('--backend <vpc/subnet/endpoint[=weight]>', 'an endpoint that serves; weight 100 is usual'),
    )
    .addOption(affinityOption())
    .option('--affinity-timeout <duration>', 'how long a client that is silent stays pinned', duration)
    .option('--drain <duration>', 'how long flows of a removed backend may go on', duration)
    .addOption(refusalOption())
    .option('--request-id <id>', 'makes a retry return the first result')
    .addHelpText(
      'after',
      '\nExample:\n  megrez service create acme/web/shop --port 80:8080/tcp --backend acme/web/a --backend acme/db/b=50',
    )
    .action((path: string, flags: Flags, command: Command) => {
      if (flags.affinityTimeout !== undefined && flags.affinity !== 'client-ip') {
        command.error("error: option '--affinity-timeout' goes with '--affinity client-ip'");
      }
      return withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet, name } = model.parseServicePath(path);
          const { response } = await client.provisioning.createService({
            vpc,
            subnet,
            name,
            ip: flags.ip ?? '',
            ports: portsOf(flags.port, model),
            backends: backendsOf(flags.backend ?? [], vpc, model),
            affinity: affinityOf(flags.affinity, model),
            affinityTimeoutMs: flags.affinityTimeout ?? 0,
            drainMs: flags.drain ?? 0,
            refusal: refusalOf(flags.refusal, model),
            requestId: flags.requestId ?? '',
          });
          await printOne(io, format, model.Service, serviceView, response);
        },
        patience.write_ms,
      );
    });
};
