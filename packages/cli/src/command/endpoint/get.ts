import type { Command } from 'commander';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { withSession } from '../../session';
import { endpointView } from '../../views';

export const endpointGet = (parent: Command, io: Io): void => {
  parent
    .command('get')
    .description('show one endpoint')
    .argument('<vpc/subnet/name>')
    .addHelpText('after', '\nExample:\n  megrez endpoint get acme/web/a -o yaml')
    .action((path: string, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { response } = await client.provisioning.getEndpoint(model.parseEndpointPath(path));
        await printOne(io, format, model.Endpoint, endpointView, response);
      }),
    );
};
