import type { Command } from 'commander';
import type { Io } from '../../io';
import { printList } from '../../output';
import { allPages, withSession } from '../../session';
import { hostView } from '../../views';

export const hostList = (parent: Command, io: Io): void => {
  parent
    .command('list')
    .description('list all hosts')
    .addHelpText('after', '\nExample:\n  megrez host list -o wide')
    .action((_flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const hosts = await allPages(async (pageToken) => {
          const { response } = await client.provisioning.listHosts({ pageSize: 0, pageToken });
          return { items: response.hosts, nextPageToken: response.nextPageToken };
        });
        await printList(io, format, model.Host, hostView, hosts);
      }),
    );
};
