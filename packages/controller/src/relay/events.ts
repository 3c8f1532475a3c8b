import type { Change, Subnet, Vpc } from '@megrez/model';
import type { Stored, TableView } from '../mirror';

/** What a host must know of a subnet before the subnet's endpoints mean anything, as it was when an event was routed. */
export interface SubnetContext {
  readonly vpc: Stored<Vpc>;
  readonly subnet: Stored<Subnet>;
  readonly table: TableView;
  /** What a host with endpoints in the VPC must know beside the subnet; absent in stores of before there were dividers. */
  readonly dividers: TableView | undefined;
}

/** The table of a VPC's dividers, and what a divider must know. */
export interface DividersContext {
  readonly vpc: Stored<Vpc>;
  readonly table: TableView;
  /** All of the VPC. */
  readonly subnets: readonly SubnetContext[];
}

/** One change of the store as it concerns one host. */
export type HostEvent =
  | {
      readonly kind: 'endpoint';
      readonly key: string;
      readonly ip: string;
      readonly change: Change;
      /** The endpoint came to this host, left it, or only its mapping is this host's business. */
      readonly own: 'came' | 'left' | 'no';
      readonly context: SubnetContext | undefined;
    }
  /** `key` is the subnet's. */
  | { readonly kind: 'service'; readonly key: string; readonly change: Change }
  | { readonly kind: 'vpc'; readonly vni: number; readonly change: Change }
  | { readonly kind: 'subnet'; readonly key: string; readonly vni: number; readonly change: Change }
  | {
      readonly kind: 'table';
      readonly key: string;
      readonly change: Change;
      /** Undefined when the table was removed. */
      readonly table: TableView | undefined;
      /** The table is new, so its slots were empty at its revision. */
      readonly fresh: boolean;
      readonly context: SubnetContext | undefined;
    }
  | {
      readonly kind: 'dividers';
      readonly vni: number;
      readonly change: Change;
      /** Undefined when the table was removed. */
      readonly table: TableView | undefined;
      readonly context: DividersContext | undefined;
    };

/** Everything of one revision that concerns one host. */
export interface HostEvents {
  readonly revision: number;
  readonly events: readonly HostEvent[];
}
