import type { Address, Cidr } from '@megrez/model';

/** What the kernel says of an endpoint's interface. */
export interface InterfaceFacts {
  /** Of the host's end. */
  readonly ifindex: number;
  /** What the endpoint may send. */
  readonly mtu: number;
  /** A veth, into whose peer packets are delivered; else a tap. */
  readonly veth: boolean;
}

/** What endpoints of a subnet must know of it: its prefixes, each with its gateway. */
export interface SubnetFacts {
  readonly prefixes: readonly { readonly cidr: Cidr; readonly gateway: Address }[];
}

/** Everything beside the object itself that its rows depend on. */
export interface PlanContext {
  /** Name of this host. */
  readonly host: string;
  readonly subnet: (vni: number, subnet: number) => SubnetFacts | undefined;
  /** Does this host hold the slot, in whatever state? Undefined while it does not know the table. */
  readonly holds: (vni: number, subnet: number, slot: number) => boolean | undefined;
  /** Does this host hold a slot of the table? */
  readonly holdsAny: (vni: number, subnet: number) => boolean;
  /** Undefined while the endpoint has no interface. */
  readonly interfaceOf: (vni: number, ip: Address) => InterfaceFacts | undefined;
}
