import type * as Model from '@megrez/model';
import type { ServiceBackend } from '@megrez/model';
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
  readonly port?: readonly PortText[];
  readonly backend?: readonly BackendText[];
  readonly addBackend?: readonly BackendText[];
  readonly removeBackend?: readonly BackendText[];
  readonly affinity?: (typeof affinities)[number];
  readonly affinityTimeout?: number;
  readonly drain?: number;
  readonly refusal?: (typeof refusals)[number];
}

const others = ['addBackend', 'removeBackend'];

export const serviceUpdate = (parent: Command, io: Io): void => {
  parent
    .command('update')
    .description('change a service; what is not named stays')
    .argument('<vpc/subnet/name>')
    .addOption(portOption('--port <listen[:target][/protocol]>', 'replaces all ports'))
    .addOption(backendOption('--backend <vpc/subnet/endpoint[=weight]>', 'replaces all backends').conflicts(others))
    .addOption(backendOption('--add-backend <vpc/subnet/endpoint[=weight]>', 'one more, or another weight of one'))
    .addOption(backendOption('--remove-backend <vpc/subnet/endpoint>', 'gets no new flows; the old ones drain'))
    .addOption(affinityOption())
    .option('--affinity-timeout <duration>', 'how long a client that is silent stays pinned', duration)
    .option('--drain <duration>', 'how long flows of a removed backend may go on', duration)
    .addOption(refusalOption())
    .addHelpText(
      'after',
      '\nExample:\n  megrez service update acme/web/shop --add-backend acme/web/c --remove-backend acme/web/a',
    )
    .action((path: string, flags: Flags, command: Command) => {
      if (Object.values({ ...flags }).length === 0) {
        command.error(
          "error: nothing to change: give '--port', '--backend', '--add-backend', '--remove-backend' or what else is to change",
        );
      }
      return withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet, name } = model.parseServicePath(path);
          const texts = (backends: readonly BackendText[] = []) => backendsOf(backends, vpc, model);
          // Before the call: a name that cannot be meant is refused without one.
          const [replaced, added, removed] = [flags.backend, flags.addBackend, flags.removeBackend].map(texts);
          const { response: now } = await client.provisioning.getService({ vpc, subnet, name });
          const { response } = await client.provisioning.updateService({
            vpc,
            subnet,
            name,
            ports: flags.port === undefined ? now.ports : portsOf(flags.port, model),
            backends:
              flags.backend === undefined
                ? changed(now.backends, added ?? [], removed ?? [], model.objectName.service(vpc, subnet, name), model)
                : (replaced ?? []),
            affinity: affinityOf(flags.affinity, model),
            refusal: refusalOf(flags.refusal, model),
            ...(flags.affinityTimeout === undefined ? {} : { affinityTimeoutMs: flags.affinityTimeout }),
            ...(flags.drain === undefined ? {} : { drainMs: flags.drain }),
          });
          await printOne(io, format, model.Service, serviceView, response);
        },
        patience.write_ms,
      );
    });
};

const isSame = (a: ServiceBackend) => (b: ServiceBackend) => a.subnet === b.subnet && a.endpoint === b.endpoint;

/** @throws MegrezError NOT_FOUND / NO_SUCH_BACKEND when one that is to go is not there */
export const changed = (
  now: readonly ServiceBackend[],
  added: readonly ServiceBackend[],
  removed: readonly ServiceBackend[],
  object: string,
  { MegrezError }: typeof Model,
): ServiceBackend[] => {
  const absent = removed.find((backend) => !now.some(isSame(backend)));
  if (absent !== undefined) {
    throw new MegrezError({
      code: 'NOT_FOUND',
      reason: 'NO_SUCH_BACKEND',
      object,
      message: `${absent.subnet}/${absent.endpoint} is no backend of ${object}`,
    });
  }
  const stays = now.filter((backend) => ![...added, ...removed].some(isSame(backend)));
  return [...stays, ...added];
};
