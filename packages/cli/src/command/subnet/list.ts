import type { Command } from 'commander';
import type { Io } from '../../io';
import { printList } from '../../output';
import { allPages, withSession } from '../../session';
import { subnetView } from '../../views';

export const subnetList = (parent: Command, io: Io): void => {
  parent
    .command('list')
    .description('list the subnets of a VPC, or of all')
    .argument('[vpc]')
    .addHelpText('after', '\nExample:\n  megrez subnet list acme')
    .action((path: string | undefined, _flags: unknown, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { vpc } = path === undefined ? { vpc: '' } : model.parseVpcPath(path);
        const subnets = await allPages(async (pageToken) => {
          const { response } = await client.provisioning.listSubnets({ vpc, pageSize: 0, pageToken });
          return { items: response.subnets, nextPageToken: response.nextPageToken };
        });
        await printList(io, format, model.Subnet, subnetView, subnets);
      }),
    );
};
