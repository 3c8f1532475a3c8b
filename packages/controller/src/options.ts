export interface LeaseOptions {
  /** How long a path is used without being renewed. */
  readonly soft_lease_ms: number;
  /** After which a path is no longer used. */
  readonly hard_lease_ms: number;
  /** After which a bouncer is asked even about a path that is renewed. */
  readonly check_ms: number;
}

export interface ShardOptions {
  /** Endpoints per second that slots on their way bring to their new owners, over the whole fleet. */
  readonly move_entries_per_second: number;
  /** A host that is detached for so long, and whose datapath its peers find silent, loses its slots. */
  readonly dead_ms: number;
  /** So does one that is detached for so long, whatever its datapath does. */
  readonly unheard_ms: number;
}

export interface ControllerOptions {
  /** `host:port` (port 0 takes a free one) or `unix:/path`. */
  readonly listen: readonly string[];
  /** Endpoints of etcd, `host:port`. */
  readonly etcd: readonly string[];
  /** CIDRs in which hosts' underlay addresses lie. */
  readonly underlayPrefixes: readonly string[];
  /** `host:port` of /metrics, /healthz and /readyz; none when absent. */
  readonly metrics?: string;
  /** Where other controllers reach this one; the first of `listen` when absent. */
  readonly relayAddress?: string;
  readonly leases?: LeaseOptions;
  readonly shards?: Partial<ShardOptions>;
  /** pino's level. */
  readonly log?: string;
  readonly version?: string;
}

export interface Controller {
  /** As bound, in the order of `listen`. */
  readonly addresses: readonly string[];
  /** Where metrics are served, when asked for. */
  readonly metrics: string | undefined;
  close(): Promise<void>;
}

export const default_leases: LeaseOptions = { soft_lease_ms: 5_000, hard_lease_ms: 10_000, check_ms: 60_000 };

export const default_shards: ShardOptions = {
  move_entries_per_second: 200_000,
  dead_ms: 10_000,
  unheard_ms: 30_000,
};
