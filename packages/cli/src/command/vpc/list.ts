import type { Command } from 'commander';
import type { Io } from '../../io';
import { printList } from '../../output';
import { allPages, withSession } from '../../session';
import { vpcView } from '../../views';

export const vpcList = (parent: Command, io: Io): void => {
  parent
    .command('list')
    .description('list all VPCs')
    .addHelpText('after', '\nExample:\n  megrez vpc list -o wide')
    .action((_flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const vpcs = await allPages(async (pageToken) => {
          const { response } = await client.provisioning.listVpcs({ pageSize: 0, pageToken });
          return { items: response.vpcs, nextPageToken: response.nextPageToken };
        });
        await printList(io, format, model.Vpc, vpcView, vpcs);
      }),
    );
};
