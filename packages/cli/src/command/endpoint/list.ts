import type { Command } from 'commander';
import type { Io } from '../../io';
import { printList } from '../../output';
import { scopeOf } from '../../scope';
import { allPages, withSession } from '../../session';
import { endpointView } from '../../views';

interface Flags {
  readonly host?: string;
}

export const endpointList = (parent: Command, io: Io): void => {
  parent
    .command('list')
    .description('list the endpoints of a VPC or subnet, or of all')
    .argument('[vpc[/subnet]]')
    .option('--host <host>', 'only those of this host')
    .addHelpText('after', '\nExamples:\n  megrez endpoint list acme/web\n  megrez endpoint list --host h1')
    .action((path: string | undefined, flags: Flags, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { vpc, subnet } = scopeOf(path, model);
        const endpoints = await allPages(async (pageToken) => {
          const request = { vpc, subnet, host: flags.host ?? '', pageSize: 0, pageToken };
          const { response } = await client.provisioning.listEndpoints(request);
          return { items: response.endpoints, nextPageToken: response.nextPageToken };
        });
        await printList(io, format, model.Endpoint, endpointView, endpoints);
      }),
    );
};
