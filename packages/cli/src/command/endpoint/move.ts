import type { Command } from 'commander';
import { duration } from '../../arguments';
import type { Io } from '../../io';
import { printOne } from '../../output';
import { patience, withSession } from '../../session';
import { endpointView } from '../../views';
import { type AttachmentFlags, attachmentOf, attachmentOptions } from './attachment';

interface Flags extends AttachmentFlags {
  readonly host: string;
  readonly force?: boolean;
  readonly timeout?: number;
}

export const endpointMove = (parent: Command, io: Io): void => {
  const move = parent
    .command('move')
    .description('move an endpoint, with its address, to another host')
    .argument('<vpc/subnet/name>')
    .requiredOption('--host <host>', 'host to move it to');
  attachmentOptions(move)
    .option('--force', 'move it away from a host that is detached but still answers in the network')
    .option('--timeout <duration>', 'how long to wait for the hosts (default: 10s)', duration)
    .addHelpText('after', '\nExample:\n  megrez endpoint move acme/web/a --host h2')
    .action((path: string, flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async ({ client, model, format }) => {
          const { response } = await client.provisioning.moveEndpoint({
            ...model.parseEndpointPath(path),
            host: flags.host,
            // Without a flag it stays the kind that it is.
            ...(chosen(flags) ? { attachment: attachmentOf(flags) } : {}),
            force: flags.force ?? false,
            timeoutMs: flags.timeout ?? 0,
          });
          await printOne(io, format, model.Endpoint, endpointView, response);
        },
        patience.write_ms + (flags.timeout ?? 0),
      ),
    );
};

const chosen = ({ netns, tap, interface: made }: Flags): boolean => netns !== undefined || tap !== undefined || !made;
