import { native } from './native';
import type { BpfProgram } from './program';

/** An interface by name or by index; `netns` is the path of its namespace, our own without it. */
export type InterfaceRef = ({ readonly name: string } | { readonly ifindex: number }) & { readonly netns?: string };

export interface Link {
  readonly ifindex: number;
  readonly name: string;
  readonly mtu: number;
  /** The largest it could be set to; a veth's falls below 65,535 while its peer runs native XDP. */
  readonly maxMtu: number;
  readonly up: boolean;
  readonly running: boolean;
  readonly arp: boolean;
  readonly gsoMaxSize: number;
  /** `02:00:00:00:00:01`; absent for interfaces without an Ethernet address. */
  readonly mac?: string;
  readonly alias?: string;
  /** `veth`, `bridge`, `vxlan`, `tun` …; absent for hardware and loopback. */
  readonly kind?: string;
  readonly master?: number;
  /** Of a veth: the far end's index in its own namespace. */
  readonly peerIfindex?: number;
  readonly xdp?: 'native' | 'generic' | 'offload';
}

export interface LinkSettings {
  readonly mtu?: number;
  readonly mac?: string;
  readonly gsoMaxSize?: number;
  readonly up?: boolean;
  readonly arp?: boolean;
}

/** The peer has the same MTU, gsoMaxSize and queues unless it says otherwise. */
export interface CreateVeth extends LinkSettings {
  readonly name: string;
  readonly netns?: string;
  readonly alias?: string;
  readonly queues?: number;
  readonly peer: LinkSettings & { readonly name: string; readonly netns?: string; readonly queues?: number };
}

export interface NewLink {
  readonly ifindex: number;
}

/** Makes both ends in one request, each where it belongs. Errors: EEXIST, ENOENT (a namespace), EINVAL. */
export const createVeth = async (options: CreateVeth): Promise<{ ifindex: number; peerIfindex: number }> =>
  native.createVeth(options);

/**
 * A collect-metadata tunnel device (`external: true`), which holds the UDP port so that the kernel's GRO knows it.
 * Errors: EOPNOTSUPP when the kernel has no such kind, EEXIST when name or port is taken.
 */
export const createTunnel = async (
  options: LinkSettings & {
    readonly kind: 'geneve' | 'vxlan';
    readonly name: string;
    readonly port: number;
    readonly external: boolean;
    readonly netns?: string;
  },
): Promise<NewLink> => native.createTunnel(options);

export const createBridge = async (
  options: LinkSettings & { readonly name: string; readonly netns?: string },
): Promise<NewLink> => native.createBridge(options);

/** A persistent tap. One of that name that nobody has open is taken over. Errors: EBUSY, EINVAL (not a tap). */
export const createTap = async (
  options: LinkSettings & {
    readonly name: string;
    readonly alias?: string;
    readonly vnetHeader?: boolean;
    readonly netns?: string;
  },
): Promise<NewLink> => native.createTap(options);

/** Changes what is given. `master: ''` takes the interface out of its bridge. Errors: ENODEV. */
export const setLink = async (
  options: InterfaceRef & LinkSettings & { readonly alias?: string; readonly master?: string },
): Promise<void> => native.setLink(options);

/** The interface, or undefined when there is none. */
export const getLink = async (options: InterfaceRef): Promise<Link | undefined> => native.getLink(options);

/** Every interface of a namespace, by rising index. */
export const listLinks = async (netns?: string): Promise<readonly Link[]> => native.listLinks({ netns });

/**
 * Resolves to whether there was one, as soon as nobody finds it any more and its name is free; the kernel frees what is
 * behind it some tens of milliseconds later.
 */
export const deleteLink = async (options: InterfaceRef): Promise<boolean> => native.deleteLink(options);

export interface Features {
  /** Checksum offloads, receive and transmit. */
  readonly rx: boolean;
  readonly tx: boolean;
  readonly sg: boolean;
  readonly tso: boolean;
  readonly gso: boolean;
  readonly gro: boolean;
}

/** Switches offloads by ethtool. Errors: ENODEV, EOPNOTSUPP. */
export const setFeatures = async (
  options: { readonly name: string; readonly netns?: string } & Partial<Features>,
): Promise<void> => native.setFeatures(options);

export const getFeatures = async (options: { readonly name: string; readonly netns?: string }): Promise<Features> =>
  native.getFeatures(options);

/** `veth`, `virtio_net`, `mlx5_core` … Errors: ENODEV, EOPNOTSUPP when it has none. */
export const driverOf = async (options: { readonly name: string; readonly netns?: string }): Promise<string> =>
  native.driverOf(options);

/** Lets `cpus` (a hexadecimal mask) share the receive work of every queue. Errors: ENODEV, EINVAL. */
export const setRps = async (options: {
  readonly name: string;
  readonly cpus: string;
  readonly netns?: string;
}): Promise<void> => native.setRps(options);

export interface CreateEndpointInterface {
  /** The host's end: without ARP and IPv6 of the host's own. */
  readonly name: string;
  /** The endpoint's namespace. */
  readonly netns: string;
  readonly peerName: string;
  readonly mtu?: number;
  /** Of the endpoint's end; default `mtu`. */
  readonly peerMtu?: number;
  readonly gsoMaxSize?: number;
  readonly queues?: number;
  readonly mac?: string;
  readonly peerMac?: string;
  readonly alias?: string;
  /** Whether the endpoint's end gives itself an IPv6 link-local address; default true. */
  readonly linkLocal?: boolean;
  /** Of the endpoint's end. */
  readonly addresses: readonly { readonly address: string; readonly noPrefixRoute?: boolean }[];
  /** In this order: a gateway's own route comes first. */
  readonly routes: readonly {
    readonly dst?: string;
    readonly via?: string;
    readonly onlink?: boolean;
    readonly mtu?: number;
  }[];
  /** Attached to the host's end (tcx ingress) before it is up; the pin is named by the index, `<pinPrefix><ifindex>`. */
  readonly attach?: { readonly program: BpfProgram } & ({ readonly pin: string } | { readonly pinPrefix: string });
  /** See `attachTcx`; default true. */
  readonly expedite?: boolean;
  /** Default true; false leaves the host's end down, for rows that must be written first. */
  readonly up?: boolean;
}

/** One job for all of it; a failure half-way leaves nothing. Errors: EEXIST, ENOENT (namespace, bpffs), EINVAL. */
export const createEndpointInterface = async (
  options: CreateEndpointInterface,
): Promise<{ ifindex: number; peerIfindex: number; mac: string }> => {
  const { attach, ...rest } = options;
  if (attach === undefined) return native.createEndpointInterface(rest);
  const { program, ...pinned } = attach;
  return native.createEndpointInterface({ ...rest, ...pinned, handle: program.handle });
};
