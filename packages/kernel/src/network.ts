import { native } from './native';

/**
 * Makes a network namespace with its loopback up, kept by a bind mount on the new file `path` (as `ip netns add`).
 * Errors: EEXIST, ENOENT when the directory is missing, EPERM.
 */
export const createNetns = async (path: string): Promise<void> => native.createNetns({ path });

/** Removes mount and file; the namespace ends with its last process and socket. Errors: ENOENT. */
export const deleteNetns = async (path: string): Promise<void> => native.deleteNetns({ path });

/** The interface an address or a route is on. */
export type DeviceRef = ({ readonly dev: string } | { readonly ifindex: number }) & { readonly netns?: string };

export type AddressOptions = DeviceRef & {
  /** `10.0.1.5/24`, `fd00::5/64`; without a length all bits. */
  readonly address: string;
  readonly scope?: 'global' | 'link' | 'host';
  readonly noPrefixRoute?: boolean;
};

/** Idempotent. IPv6 addresses are usable at once (no duplicate address detection). Errors: ENODEV, EINVAL. */
export const addAddress = async (options: AddressOptions): Promise<void> => native.addAddress(options);

/** Errors: EADDRNOTAVAIL. */
export const deleteAddress = async (options: AddressOptions): Promise<void> => native.deleteAddress(options);

export type RouteOptions = DeviceRef & {
  /** A prefix, or `default` (also when left out). */
  readonly dst?: string;
  readonly via?: string;
  /** The gateway is on the link although no route says so. */
  readonly onlink?: boolean;
  readonly scope?: 'global' | 'link' | 'host';
  readonly mtu?: number;
};

/** Adds or replaces. Errors: ENETUNREACH or EHOSTUNREACH (gateway), ENETDOWN, ENODEV. */
export const addRoute = async (options: RouteOptions): Promise<void> => native.addRoute(options);

/** Errors: ESRCH when there is none. */
export const deleteRoute = async (options: RouteOptions): Promise<void> => native.deleteRoute(options);

export interface Route {
  readonly ifindex: number;
  readonly gateway?: string;
  readonly source?: string;
  readonly mtu?: number;
}

/** The route a packet to `dst` would take. Errors: ENETUNREACH. */
export const routeGet = async (dst: string, netns?: string): Promise<Route> => native.routeGet({ dst, netns });

/** A unicast route of the main table. */
export interface ListedRoute {
  readonly network: string;
  readonly length: number;
  /** 0 when there are several next hops. */
  readonly ifindex: number;
  /** The next hop is not the destination itself. */
  readonly gateway: boolean;
}

/** Both families, in the kernel's order; while routes change, one may be there twice. */
export const listRoutes = async (netns?: string): Promise<readonly ListedRoute[]> => native.listRoutes({ netns });

/** Calls `onChange` on the event loop for every change of a route; keeps the process alive until closed. */
export const watchRoutes = (onChange: () => void, netns?: string): { close(): void } => {
  const watch = native.watchRoutes({ onChange, netns });
  return { close: () => native.closeWatch(watch) };
};

export interface NeighbourRef {
  readonly ifindex: number;
  readonly ip: string;
  readonly netns?: string;
}

export interface Neighbour {
  readonly ifindex: number;
  readonly ip: string;
  /** Absent while unresolved. */
  readonly mac?: string;
  /** `reachable`, `stale`, `delay`, `probe`, `incomplete`, `failed`, `permanent`, `noarp` or `none`. */
  readonly state: string;
  /** The kernel keeps it resolved by itself. */
  readonly managed: boolean;
}

export const getNeighbour = async (options: NeighbourRef): Promise<Neighbour | undefined> =>
  native.getNeighbour(options);

/** Makes the kernel keep the neighbour resolved (`managed`), or fixes its MAC for ever. */
export const setNeighbour = async (
  options: NeighbourRef & ({ readonly managed: true } | { readonly mac: string }),
): Promise<void> => native.setNeighbour(options);

/** Resolves to whether there was one. */
export const deleteNeighbour = async (options: NeighbourRef): Promise<boolean> => native.deleteNeighbour(options);

/** `overrun`: changes were lost; read again every neighbour that matters. */
export type NeighbourEvent = ({ readonly event: 'changed' | 'deleted' } & Neighbour) | { readonly event: 'overrun' };

/** Calls `onChange` on the event loop for every change, from now on; keeps the process alive until closed. */
export const watchNeighbours = (onChange: (event: NeighbourEvent) => void, netns?: string): { close(): void } => {
  const watch = native.watchNeighbours({ onChange, netns });
  return { close: () => native.closeWatch(watch) };
};

/** `path` is below /proc/sys: `net/ipv4/conf/eth0/arp_ignore`. Errors: ENOENT, EINVAL, EACCES. */
export const setSysctl = async (options: {
  readonly path: string;
  readonly value: string | number;
  readonly netns?: string;
}): Promise<void> => native.setSysctl({ ...options, value: String(options.value) });

export const getSysctl = async (options: { readonly path: string; readonly netns?: string }): Promise<string> =>
  native.getSysctl(options);
