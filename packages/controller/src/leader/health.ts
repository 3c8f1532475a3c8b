import type { Context } from '../context';
import type { ShardOptions } from '../options';
import { statusOf } from '../provisioning/host-status';
import { isAttached, whereIs } from '../relay/attachment';

/** Hosts whose slots go elsewhere because they are dead, as the leader sees it. */
export interface Health {
  /** Looks at all hosts; to be called often. */
  observe(now_ms: number): Promise<void>;
  readonly dead: ReadonlySet<string>;
  /** Hosts that vanished together, too many to be believed: nothing is re-placed on their account. */
  readonly vanished: readonly string[];
}

/** Whom a judgement is about, and what it means. */
export interface Concern {
  /** Others are nobody's loss. */
  readonly concerned: () => ReadonlySet<string>;
  readonly consequence: string;
}

/** Of the fleet; in a small one a single host may always die. */
const believed = 0.1;
/** Peers that must find a host's datapath silent. */
const witnesses = 2;

/**
 * A host is dead when it has been detached for `dead_ms` without a break and two of its peers (all, where there are fewer)
 * find its datapath silent, or detached for `unheard_ms`: nobody may have had anything to ask it. whereIs gives the hosts
 * of a lost relay time to come back before it calls them detached.
 */
export const watchHealth = (
  context: Context,
  { dead_ms, unheard_ms }: Pick<ShardOptions, 'dead_ms' | 'unheard_ms'>,
  { concerned, consequence }: Concern = { concerned: () => holders(context), consequence: 'its slots go elsewhere' },
): Health => {
  const since = new Map<string, number>();
  const dead = new Set<string>();
  let vanished: readonly string[] = [];

  const judge = async (missing: readonly string[], now_ms: number): Promise<void> => {
    const longer = (host: string, time_ms: number): boolean => now_ms - (since.get(host) ?? now_ms) >= time_ms;
    const overdue = missing.filter((host) => longer(host, dead_ms));
    if (overdue.length === 0) return;
    const silent = await silentHosts(context);
    for (const host of overdue) if (longer(host, unheard_ms) || silent(host)) bury(host);
  };
  const bury = (host: string): void => {
    context.log.warn({ host }, `host is dead: ${consequence}`);
    dead.add(host);
  };

  return {
    dead,
    get vanished() {
      return vanished;
    },
    observe: async (now_ms) => {
      const { hosts } = context.mirror;
      for (const host of since.keys()) if (!hosts.has(host)) since.delete(host);
      for (const host of hosts.keys()) {
        if (whereIs(context, host).kind !== 'detached') since.delete(host);
        else if (!since.has(host)) since.set(host, now_ms);
      }
      for (const host of dead) if (!since.has(host)) dead.delete(host);
      const judged = concerned();
      const missing = [...since.keys()].filter((host) => judged.has(host) && !dead.has(host));
      const before = vanished.length;
      vanished = missing.length > Math.max(1, Math.floor(hosts.size * believed)) ? missing.sort() : [];
      if (vanished.length !== before)
        context.log.warn({ vanished }, 'hosts that vanished together are not believed dead');
      if (vanished.length === 0) await judge(missing, now_ms);
    },
  };
};

/** Hosts with slots that no operator takes from them. Others are nobody's loss, and long-dead hosts have none. */
const holders = ({ mirror }: Context): ReadonlySet<string> =>
  new Set(
    [...mirror.tables.values()]
      .flatMap(({ slotsOf }) => [...slotsOf.keys()])
      .filter((host) => mirror.hosts.get(host)?.value.ineligible === false),
  );

/** Whether enough of the attached hosts find a host's datapath silent. */
const silentHosts = async (context: Context): Promise<(host: string) => boolean> => {
  const attached = [...context.mirror.hosts.keys()].filter((host) => isAttached(context, host));
  const reports = [...(await statusOf(context, attached)).values()].map(({ report }) => report?.silentHosts ?? []);
  return (host) => {
    const address = context.mirror.hosts.get(host)?.value.address;
    const found = reports.filter((silent) => address !== undefined && silent.includes(address)).length;
    return found >= Math.min(witnesses, Math.max(1, reports.length));
  };
};
