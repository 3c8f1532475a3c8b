import type { Command } from 'commander';
import { duration } from '../../arguments';
import type { Io } from '../../io';
import { printRemoved } from '../../output';
import { patience, withSession } from '../../session';

interface Flags {
  readonly timeout?: number;
}

export const endpointDelete = (parent: Command, io: Io): void => {
  parent
    .command('delete')
    .description('delete an endpoint and wait until every host concerned has forgotten it')
    .argument('<vpc/subnet/name>')
    .option('--timeout <duration>', 'how long to wait for the hosts (default: 10s)', duration)
    .addHelpText('after', '\nExample:\n  megrez endpoint delete acme/web/a')
    .action((path: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { vpc, subnet, name } = model.parseEndpointPath(path);
          const request = { vpc, subnet, name, timeoutMs: flags.timeout ?? 0 };
          const { response } = await client.provisioning.deleteEndpoint(request);
          await printRemoved(io, format, model.Endpoint, model.objectName.endpoint(vpc, subnet, name), response);
        },
        patience.write_ms + (flags.timeout ?? 0),
      ),
    );
};
