import { type Handle, type NativeHandle, native } from './native';

export interface ProgramInfo {
  readonly id: number;
  /** The kernel's hash of the instructions, 16 hexadecimal digits. */
  readonly tag: string;
  readonly name: string;
  /** Instructions the verifier walked, over all paths. */
  readonly verifiedInstructions: number;
  readonly jitedBytes: number;
  readonly xlatedBytes: number;
  /** Since boot. */
  readonly loadTime_ns: number;
  /** 0 unless kernel.bpf_stats_enabled. */
  readonly runTime_ns: number;
  readonly runCount: number;
}

export interface TestRunOptions {
  /** The packet, from its Ethernet header. */
  readonly data: Uint8Array;
  /** Default 1. */
  readonly repeat?: number;
  /** The fields of `__sk_buff` or `xdp_md` that the kernel lets a test set, or the raw structure. */
  readonly ctx?:
    | Uint8Array
    | {
        readonly ifindex?: number;
        readonly ingressIfindex?: number;
        readonly mark?: number;
        readonly priority?: number;
        readonly gsoSize?: number;
        readonly gsoSegs?: number;
        readonly wireLen?: number;
        readonly rxQueueIndex?: number;
      };
  /** Default: the packet's size and 512. */
  readonly dataOutSize?: number;
  /** Path of the namespace whose interface indexes `ctx` speaks of; default our own. */
  readonly netns?: string;
}

export interface TestRunResult {
  readonly retval: number;
  /** The packet afterwards. */
  readonly data: Buffer;
  /** Mean of one run. */
  readonly duration_ns: number;
  /** The structure afterwards, when `ctx` was given. */
  readonly ctx?: Buffer;
}

/** A loaded program. Use after close: KernelError `EBADF`. */
export class BpfProgram {
  readonly name: string;
  /** `sched_cls`, `xdp` … */
  readonly type: string;
  readonly id: number;
  /** For this package only. */
  readonly handle: Handle;

  constructor(facts: NativeHandle) {
    this.name = facts.name;
    this.type = facts.type;
    this.id = facts.id;
    this.handle = facts.handle;
  }

  info(): ProgramInfo {
    return native.programInfo({ handle: this.handle });
  }

  /** Pins the program on a bpffs. Errors: EEXIST. */
  pin(path: string): void {
    native.programPin({ handle: this.handle, path });
  }

  /** Runs the program on a packet (BPF_PROG_TEST_RUN). Errors: EINVAL (packet or ctx), ENOSPC (dataOutSize). */
  async testRun(options: TestRunOptions): Promise<TestRunResult> {
    return native.testRun({ ...options, handle: this.handle });
  }

  /** What is attached stays attached. Closing twice is no error. */
  close(): void {
    native.close(this.handle);
  }
}

/** Opens the program pinned at `path`; its name is the kernel's, cut to 15 characters. Errors: ENOENT. */
export const openPinnedProgram = (path: string): BpfProgram => new BpfProgram(native.openPinnedProgram({ path }));

export interface LinkInfo {
  readonly type: 'tcx' | 'xdp' | 'other';
  readonly id: number;
  readonly programId: number;
  /** 0 once the interface is gone. */
  readonly ifindex: number;
}

/**
 * Attaches a tc program by a tcx link pinned at `pin`. If a link of that interface is pinned there, its program is
 * replaced atomically (nothing happens when it runs this program already); a stale link is removed first. `netns` is
 * the namespace of `ifindex`. Attaching waits for an RCU grace period; `expedite` (default true) sets
 * /sys/kernel/rcu_expedited meanwhile, 0.3 ms instead of 5 to 10. Errors: ENODEV, EINVAL (not a tc program), ENOENT (no
 * bpffs directory).
 */
export const attachTcx = async (
  program: BpfProgram,
  ifindex: number,
  options: {
    readonly pin: string;
    readonly direction: 'ingress' | 'egress';
    readonly netns?: string;
    readonly expedite?: boolean;
  },
): Promise<void> => native.attachTcx({ ...options, ifindex, handle: program.handle });

/**
 * From now on the file exists while this process has RCU expedited, so that its successor knows whose doing it was if it
 * is killed. Returns whether a predecessor was, and takes back what it left.
 */
export const noteExpediting = (path: string): boolean => native.noteExpediting({ path });

/**
 * The same for XDP. A link in the other mode is detached and made anew, because a link cannot change its mode.
 * Errors: also EOPNOTSUPP when the driver has no native XDP, EBUSY when another program is attached, ERANGE or
 * EINVAL when the MTU is too large for native mode.
 */
export const attachXdp = async (
  program: BpfProgram,
  ifindex: number,
  options: { readonly pin: string; readonly mode: 'native' | 'generic'; readonly netns?: string },
): Promise<void> => native.attachXdp({ ...options, ifindex, handle: program.handle });

/** Detaches the link pinned at `pin` and removes the pin. Resolves to whether there was one. */
export const detach = async (pin: string): Promise<boolean> => native.detach({ pin });

/** What is pinned at `pin`, or undefined. */
export const linkInfo = (pin: string): LinkInfo | undefined => native.linkInfo({ pin });
