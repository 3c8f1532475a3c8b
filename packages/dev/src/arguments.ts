import { MegrezError } from '@megrez/model';
import { controllerSocket, type Layout } from './layout';
import { type Underlay, underlays } from './plan';

const maxHosts = 1000;
const maxControllers = 9;
/** Smallest MTU that IPv6 works over; largest that a veth takes. */
const mtuRange = [1280, 65_535] as const;
/** sizeof(sockaddr_un.sun_path), with the terminating zero. */
const maxSocketPath = 108;

interface Wanted {
  readonly hosts: number;
  readonly controllers: number;
  readonly underlay: Underlay;
  readonly underlay_mtu: number;
  readonly paths: Layout;
}

/** Refuses what cannot become a cluster on this machine, before anything is made. */
export function validate({ hosts, controllers, underlay, underlay_mtu, paths }: Wanted): void {
  within('hosts', hosts, 1, maxHosts);
  within('controllers', controllers, 1, maxControllers);
  within('underlay MTU', underlay_mtu, ...mtuRange);
  if (!underlays.includes(underlay)) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'UNKNOWN_UNDERLAY',
      object: 'underlay',
      message: `underlay: must be one of ${underlays.join(', ')}; got ${underlay}.`,
    });
  }
  const socket = controllerSocket(paths, `controller-${maxControllers}`);
  if (!paths.dir.startsWith('/') || Buffer.byteLength(socket) >= maxSocketPath) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'BAD_DIRECTORY',
      object: paths.dir,
      message: `The directory must be an absolute path of at most ${maxSocketPath - 27} bytes (it holds unix sockets).`,
    });
  }
  if (process.getuid?.() !== 0) {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'NOT_ROOT',
      object: 'megrez dev',
      message: 'A dev cluster makes network namespaces, so megrez dev needs root. Try again with sudo.',
    });
  }
}

function within(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'OUT_OF_RANGE',
      object: what,
      message: `${what}: must be a whole number from ${least} to ${most}; got ${value}.`,
    });
  }
}
