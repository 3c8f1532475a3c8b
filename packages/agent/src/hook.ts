import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { attachXdp, detach, driverOf, getLink, linkInfo } from '@megrez/kernel';
import type { Logger } from 'pino';
import type { Datapath } from './datapath';
import { isKernelError } from './failure';
import type { NicHook } from './options';

export interface HostRole {
  readonly holdsSlots: boolean;
  readonly hasEndpoints: boolean;
}

/** What runs the bouncer's lookup first; `tc` is the `nic` program, which holds the same lookup and is always there. */
export type Hook = 'native' | 'generic' | 'tc';

/**
 * By driver and role. XDP on a veth costs the streams of endpoints behind it their GSO (11.8 to 2.6 Gbps), so there it
 * serves only hosts that are nothing but bouncers. Never generic XDP by itself: a packet that it copies reaches tc without
 * its Ethernet header (kernel 6.18 forgets mac_len), so that `nic` would take asked data for somebody else's.
 */
export const chooseHook = (wanted: NicHook, driver: string, { holdsSlots, hasEndpoints }: HostRole): Hook => {
  if (wanted !== 'auto') return wanted;
  if (!holdsSlots) return 'tc';
  return driver === 'veth' && hasEndpoints ? 'tc' : 'native';
};

/** A veth's largest MTU while its peer runs no native XDP. */
const veth_max_mtu = 65_535;
const peer_wait_ms = 500;

/** The far end of a veth takes XDP_TX only when it runs a native program too, and it may follow us a moment later. */
const peerRunsXdp = async (ifindex: number, wait_ms: number): Promise<boolean> => {
  const deadline = performance.now() + wait_ms;
  for (;;) {
    const link = await getLink({ ifindex });
    if (link !== undefined && link.maxMtu !== veth_max_mtu) return true;
    if (performance.now() > deadline) return false;
    await setTimeout(5);
  }
};

export interface Bouncer {
  /** Attaches or detaches as the role wants; refusals leave the lookup to tc. */
  follow(role: HostRole): Promise<void>;
  readonly hook: Hook;
  readonly problem: string | undefined;
}

export const openBouncer = async (
  { object, links }: Datapath,
  nic: { readonly name: string; readonly ifindex: number },
  wanted: NicHook,
  log: Logger,
): Promise<Bouncer> => {
  const pin = join(links, 'bouncer');
  const driver = await driverOf({ name: nic.name }).catch((error: unknown) => {
    if (isKernelError(error, 'EOPNOTSUPP')) return '';
    throw error;
  });
  let current: Hook | undefined;
  let asked: Hook | undefined;
  let problem: string | undefined;

  const attach = async (mode: 'native' | 'generic'): Promise<Hook> => {
    try {
      if (driver === 'veth' && mode === 'native' && !(await peerRunsXdp(nic.ifindex, 0))) {
        // What the bouncer transmitted would be lost: until the far end follows, tc answers.
        await attachXdp(object.program('pass'), nic.ifindex, { pin, mode });
        if (!(await peerRunsXdp(nic.ifindex, peer_wait_ms)) && wanted === 'auto') {
          log.info({ nic: nic.name }, 'the far end of the veth runs no XDP and would lose answers: tc answers lookups');
          await detach(pin);
          return 'tc';
        }
      }
      await attachXdp(object.program('bouncer'), nic.ifindex, { pin, mode });
      problem = undefined;
      return mode;
    } catch (error) {
      if (wanted === 'auto' && isKernelError(error, 'EOPNOTSUPP')) return 'tc';
      problem = `XDP (${mode}) cannot be attached to ${nic.name}, so tc answers lookups: ${(error as Error).message}`;
      log.warn({ error, nic: nic.name, mode }, 'XDP was refused; tc answers lookups');
      return 'tc';
    }
  };

  const leave = async (): Promise<void> => {
    if (linkInfo(pin) === undefined) return;
    // The far end stops listening as soon as the link goes: nothing is transmitted from before that.
    if (current !== 'tc') {
      const mode = current ?? 'native';
      await attachXdp(object.program('pass'), nic.ifindex, { pin, mode });
    }
    await detach(pin);
  };

  // A restarted agent replaces the program and leaves the choice until it knows what the host does.
  if (linkInfo(pin)?.ifindex === nic.ifindex) {
    const link = await getLink({ ifindex: nic.ifindex });
    current = await attach(link?.xdp === 'generic' ? 'generic' : 'native');
    asked = current;
  }

  return {
    get hook() {
      return current ?? 'tc';
    },
    get problem() {
      return problem;
    },
    follow: async (role) => {
      const hook = chooseHook(wanted, driver, role);
      // What was refused is not tried again until the role changes.
      if (hook === asked) return;
      asked = hook;
      if (hook === 'tc') {
        await leave();
        current = 'tc';
        problem = undefined;
      } else {
        current = await attach(hook);
      }
      log.info({ hook: current, ...role }, 'bouncer hook');
    },
  };
};
