import type { Command } from 'commander';
import { duration } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { endpointView } from '../../views';
import { type AttachmentFlags, attachmentOf, attachmentOptions } from './attachment';

interface Flags extends AttachmentFlags {
  readonly host: string;
  readonly ip?: string;
  readonly mac?: string;
  readonly timeout?: number;
  readonly requestId?: string;
}

export const endpointCreate = (parent: Command, io: Io): void => {
  const create = parent
    .command('create')
    .description('create an endpoint and wait until every host concerned knows it')
    .argument('<vpc/subnet/name>')
    .requiredOption('--host <host>', 'host to attach it to')
    .option('--ip <address>', 'its address, or one per family as V4,V6 (default: a free one of each)')
    .option('--mac <mac>', 'its MAC address (default: derived from the address)');
  attachmentOptions(create)
    .option('--timeout <duration>', 'how long to wait for the hosts (default: 10s)', duration)
    .option('--request-id <id>', 'makes a retry return the first result')
    .addHelpText('after', '\nExample:\n  megrez endpoint create acme/web/a --host h1 --ip 10.0.1.7')
    .action((path: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { response } = await client.provisioning.createEndpoint({
            ...model.parseEndpointPath(path),
            host: flags.host,
            ip: flags.ip ?? '',
            mac: flags.mac ?? '',
            attachment: attachmentOf(flags),
            requestId: flags.requestId ?? '',
            timeoutMs: flags.timeout ?? 0,
          });
          await printOne(io, format, model.Endpoint, endpointView, response);
        },
        patience.write_ms + (flags.timeout ?? 0),
      ),
    );
};
