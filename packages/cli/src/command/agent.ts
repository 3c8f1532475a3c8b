import { type Command, Option } from 'commander';
import { whole } from '../arguments';
import type { Io } from '../io';
import { logLevels, untilStopped } from '../service';
import { globalFlags } from '../session';

interface Flags {
  readonly host: string;
  readonly address: string;
  readonly nic: string;
  readonly bpffs: string;
  readonly state: string;
  readonly object?: string;
  readonly metrics?: string;
  readonly nicHook: 'auto' | 'native' | 'generic' | 'tc';
  readonly mtu?: number;
  readonly weight?: number;
  readonly zone?: string;
  readonly logLevel: string;
}

const required = (flags: string, description: string, env: string): Option =>
  new Option(flags, description).env(env).makeOptionMandatory();

const optional = (flags: string, description: string, env: string): Option => new Option(flags, description).env(env);

export const agent = (program: Command, io: Io): void => {
  program
    .command('agent')
    .description("run a host's agent: it makes the kernel equal to the intent; --server may be repeated")
    .addOption(required('--host <name>', 'name of this host', 'MEGREZ_HOST'))
    .addOption(required('--address <ip>', 'its underlay address', 'MEGREZ_ADDRESS'))
    .addOption(required('--nic <interface>', 'interface of the underlay', 'MEGREZ_NIC'))
    .addOption(
      optional('--bpffs <directory>', 'where programs and maps are pinned', 'MEGREZ_BPFFS').default('/sys/fs/bpf'),
    )
    .addOption(optional('--state <directory>', "the agent's own files", 'MEGREZ_STATE').default('/run/megrez'))
    .addOption(optional('--object <file>', 'the BPF object (default: the one beside the program)', 'MEGREZ_OBJECT'))
    .addOption(optional('--metrics <address>', 'HOST:PORT or unix:/PATH of /metrics and /healthz', 'MEGREZ_METRICS'))
    .addOption(
      optional('--nic-hook <hook>', 'how the bouncer is attached', 'MEGREZ_NIC_HOOK')
        .choices(['auto', 'native', 'generic', 'tc'])
        .default('auto'),
    )
    .addOption(
      optional('--mtu <bytes>', "the underlay's MTU (default: the interface's)", 'MEGREZ_MTU').argParser(
        whole(1_280, 65_535),
      ),
    )
    .addOption(
      optional('--weight <n>', 'capacity for slots (default: 100)', 'MEGREZ_WEIGHT').argParser(whole(1, 10_000)),
    )
    .addOption(optional('--zone <zone>', 'failure zone', 'MEGREZ_ZONE'))
    .addOption(optional('--log-level <level>', 'what is logged', 'MEGREZ_LOG_LEVEL').choices(logLevels).default('info'))
    .addHelpText(
      'after',
      '\nExample:\n  megrez agent --host h1 --address 10.0.0.11 --nic eth0 --server 10.0.0.1:7400 --server 10.0.0.2:7400',
    )
    .action(async (flags: Flags, command: Command) => {
      const [{ startAgent }, { defaultServers }] = await Promise.all([
        import('@megrez/agent'),
        import('@megrez/client'),
      ]);
      const running = await startAgent({
        host: flags.host,
        address: flags.address,
        nic: flags.nic,
        servers: globalFlags(command).server ?? defaultServers(io.env),
        bpffs: flags.bpffs,
        state: flags.state,
        object: flags.object,
        metrics: flags.metrics,
        nicHook: flags.nicHook,
        mtu: flags.mtu,
        weight: flags.weight,
        zone: flags.zone,
        log: flags.logLevel,
      });
      await untilStopped(() => running.close());
    });
};
