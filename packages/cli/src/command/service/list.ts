import type { Command } from 'commander';
import type { Io } from '../../io';
import { printList } from '../../output';
import { scopeOf } from '../../scope';
import { allPages, withSession } from '../../session';
import { serviceView } from '../../views';

export const serviceList = (parent: Command, io: Io): void => {
  parent
    .command('list')
    .description('list the services of a VPC or subnet, or of all')
    .argument('[vpc[/subnet]]')
    .addHelpText('after', '\nExample:\n  megrez service list acme -o wide')
    .action((path: string | undefined, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { vpc, subnet } = scopeOf(path, model);
        const services = await allPages(async (pageToken) => {
          const { response } = await client.provisioning.listServices({ vpc, subnet, pageSize: 0, pageToken });
          return { items: response.services, nextPageToken: response.nextPageToken };
        });
        await printList(io, format, model.Service, serviceView, services);
      }),
    );
};
