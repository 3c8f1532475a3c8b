import { type Address, type Leases, parseCidr } from '@megrez/model';
import { wideLength } from './prefix';
import { type Row, row } from './row';

/** What one host knows of itself. */
export interface HostSettings {
  /** Underlay address. */
  readonly address: Address;
  /** ifindex of the underlay's interface. */
  readonly nic: number;
  /** The prefix whose hosts are neighbours on it; absent: every host is reached by the routes. */
  readonly onlink?: { readonly network: Address; readonly mask: Address };
  /** 16 random bytes that outlive the agent: with another secret, answers under way would be forgeries. */
  readonly secret: Uint8Array;
  readonly retry_ms: number;
  readonly negative_ms: number;
  readonly asks_per_s: number;
  /** Asks that may come at once. */
  readonly ask_burst: number;
}

export const defaultTimes = { retry_ms: 500, negative_ms: 100, asks_per_s: 1_000, ask_burst: 1_000 } as const;
export const defaultLeases: Leases = { softLeaseMs: 5_000, hardLeaseMs: 10_000, checkMs: 60_000 };

const ns = (ms: number): bigint => BigInt(Math.round(ms * 1e6));

/** The one row of `config`; a lease of 0 stands for its default. */
export const planConfig = (settings: HostSettings, leases: Leases = defaultLeases): readonly Row[] => [
  row('config', 0, {
    self: settings.address,
    onlink_network: settings.onlink?.network ?? new Uint8Array(16),
    onlink_mask: settings.onlink?.mask ?? new Uint8Array(16).fill(0xff),
    secret: settings.secret,
    soft_lease_ns: ns(leases.softLeaseMs || defaultLeases.softLeaseMs),
    hard_lease_ns: ns(leases.hardLeaseMs || defaultLeases.hardLeaseMs),
    check_ns: ns(leases.checkMs || defaultLeases.checkMs),
    retry_ns: ns(settings.retry_ms),
    negative_ns: ns(settings.negative_ms),
    ask_interval_ns: ns(1_000 / settings.asks_per_s),
    ask_burst_ns: ns((1_000 / settings.asks_per_s) * settings.ask_burst),
    nic: settings.nic,
  }),
];

/** Rows of `underlay`: the prefixes from which packets are heard, as CIDRs. */
export const planUnderlay = (prefixes: readonly string[]): readonly Row[] =>
  prefixes.map((text) => {
    const cidr = parseCidr(text);
    return row('underlay', { length: wideLength(cidr), address: cidr.address }, { accepted: 1 });
  });
