import { type Command, Option } from 'commander';
import { several, whole } from '../arguments';
import { logLevels, untilStopped } from '../service';

interface Flags {
  readonly listen?: readonly string[];
  readonly etcd?: readonly string[];
  readonly underlayPrefix: readonly string[];
  readonly metrics?: string;
  readonly relayAddress?: string;
  readonly softLeaseMs: number;
  readonly hardLeaseMs: number;
  readonly checkMs: number;
  readonly moveEntriesPerSecond: number;
  readonly deadMs: number;
  readonly unheardMs: number;
  readonly logLevel: string;
}

const milliseconds = whole(1, 86_400_000);

export const controller = (program: Command): void => {
  program
    .command('controller')
    .description('run a controller: the API, and the relay of agents; any number of replicas')
    .addOption(several('--listen <address>', 'HOST:PORT or unix:/PATH; default 127.0.0.1:7400').env('MEGREZ_LISTEN'))
    .addOption(several('--etcd <url>', 'endpoint of etcd; default http://127.0.0.1:2379').env('MEGREZ_ETCD'))
    .addOption(
      several('--underlay-prefix <cidr>', "where hosts' underlay addresses lie; packets from elsewhere are not heard")
        .env('MEGREZ_UNDERLAY_PREFIX')
        .makeOptionMandatory(),
    )
    .addOption(new Option('--metrics <address>', 'HOST:PORT of /metrics, /healthz and /readyz').env('MEGREZ_METRICS'))
    .addOption(
      new Option(
        '--relay-address <address>',
        'where other controllers reach this one (default: the first --listen)',
      ).env('MEGREZ_RELAY_ADDRESS'),
    )
    .addOption(
      new Option('--soft-lease-ms <ms>', 'a path older than this is renewed by its traffic')
        .argParser(milliseconds)
        .default(5_000)
        .env('MEGREZ_SOFT_LEASE_MS'),
    )
    .addOption(
      new Option('--hard-lease-ms <ms>', 'a path older than this is not used')
        .argParser(milliseconds)
        .default(10_000)
        .env('MEGREZ_HARD_LEASE_MS'),
    )
    .addOption(
      new Option('--check-ms <ms>', 'a bouncer is asked at least this often')
        .argParser(milliseconds)
        .default(60_000)
        .env('MEGREZ_CHECK_MS'),
    )
    .addOption(
      new Option('--move-entries-per-second <n>', 'endpoints that slots on their way bring to new owners, at most')
        .argParser(whole(1, 100_000_000))
        .default(200_000)
        .env('MEGREZ_MOVE_ENTRIES_PER_SECOND'),
    )
    .addOption(
      new Option('--dead-ms <ms>', 'a host detached so long, and silent to its peers, loses its slots')
        .argParser(milliseconds)
        .default(10_000)
        .env('MEGREZ_DEAD_MS'),
    )
    .addOption(
      new Option('--unheard-ms <ms>', 'a host detached so long loses its slots, silent or not')
        .argParser(milliseconds)
        .default(30_000)
        .env('MEGREZ_UNHEARD_MS'),
    )
    .addOption(new Option('--log-level <level>').choices(logLevels).default('info').env('MEGREZ_LOG_LEVEL'))
    .addHelpText(
      'after',
      '\nExample:\n  megrez controller --listen 0.0.0.0:7400 --etcd http://10.0.0.1:2379 --underlay-prefix 10.0.0.0/24',
    )
    .action(async (flags: Flags) => {
      const { startController } = await import('@megrez/controller');
      const running = await startController({
        listen: flags.listen ?? ['127.0.0.1:7400'],
        etcd: flags.etcd ?? ['http://127.0.0.1:2379'],
        underlayPrefixes: flags.underlayPrefix,
        metrics: flags.metrics,
        relayAddress: flags.relayAddress,
        leases: {
          soft_lease_ms: flags.softLeaseMs,
          hard_lease_ms: flags.hardLeaseMs,
          check_ms: flags.checkMs,
        },
        shards: {
          move_entries_per_second: flags.moveEntriesPerSecond,
          dead_ms: flags.deadMs,
          unheard_ms: flags.unheardMs,
        },
        log: flags.logLevel,
      });
      await untilStopped(() => running.close());
    });
};
