import type { Store } from '@megrez/store';
import type { Logger } from 'pino';
import type { Mirror } from './mirror';
import type { LeaseOptions } from './options';
import type { EndpointWriter } from './provisioning/endpoint-writer';
import type { Peers } from './relay/peers';
import type { Session } from './relay/session';
import type { Metrics } from './server/metrics';
import type { ShardState } from './shards/state';

/** What every part of one controller works on. */
export interface Context {
  readonly store: Store;
  readonly mirror: Mirror;
  /** Slots in motion, in step with the mirror. */
  readonly shards: ShardState;
  /** Of this controller as a relay: random, new at each start. */
  readonly incarnation: string;
  /** Sessions of the agents connected here, by host. */
  readonly sessions: Map<string, Session>;
  readonly peers: Peers;
  readonly leases: LeaseOptions;
  readonly underlayPrefixes: readonly string[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly version: string;
  /** Addresses that were deleted a short while ago; automatic allocation leaves them alone. */
  readonly recent: RecentAddresses;
  readonly writeEndpoint: EndpointWriter;
  /** The controller is going away. */
  readonly closing: AbortSignal;
}

export interface RecentAddresses {
  /** `id` is subnetKey + '/' + ip. */
  add(id: string): void;
  has(id: string): boolean;
}
