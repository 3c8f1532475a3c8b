import type { Attachment } from '@megrez/model';
import { type Command, Option } from 'commander';

export interface AttachmentFlags {
  readonly netns?: string;
  readonly tap?: string;
  /** commander's reading of `--no-interface`. */
  readonly interface: boolean;
}

/** The flags that say how an endpoint is attached; at most one of them. */
export const attachmentOptions = (command: Command): Command =>
  command
    .addOption(new Option('--netns <path>', 'existing network namespace to put the interface into').conflicts('tap'))
    .addOption(
      new Option('--tap <name>', "tap device of this name in the host's namespace, for a VM").conflicts('netns'),
    )
    .addOption(new Option('--no-interface', 'no interface: only the mapping').conflicts(['netns', 'tap']));

/** Without a flag the agent makes a namespace. */
export const attachmentOf = (flags: AttachmentFlags): Attachment => {
  if (flags.netns !== undefined) {
    return { kind: { oneofKind: 'netns', netns: { path: flags.netns, interface: '' } } };
  }
  if (flags.tap !== undefined) return { kind: { oneofKind: 'tap', tap: { name: flags.tap } } };
  if (!flags.interface) return { kind: { oneofKind: 'none', none: {} } };
  return { kind: { oneofKind: 'managed', managed: {} } };
};
