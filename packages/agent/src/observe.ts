import { counterIndex, decodePerCpu, maps, type ProgramWord, type VerdictWord } from '@megrez/abi';
import { formatAddress } from '@megrez/model';
import type { Datapath } from './datapath';
import type { Rows } from './rows';

/** An ask that is this old would have been answered by a host that lives. */
const silent_ns = 1_000_000_000n;

/** What the datapath found of others, and what it did for them: for the report. */
export interface Observations {
  /** Underlay addresses, sorted. */
  readonly silentHosts: readonly string[];
  readonly lookups_per_s: number;
  /** Reads both anew. */
  look(): Promise<void>;
}

const programs: readonly ProgramWord[] = ['bouncer', 'nic'];
const lookups: readonly VerdictWord[] = ['answered', 'answered_none', 'forwarded'];

export const observe = (rows: Rows, { map }: Datapath): Observations => {
  let silentHosts: readonly string[] = [];
  let lookups_per_s = 0;
  let last: { readonly count: bigint; readonly at_ms: number } | undefined;

  const readSilent = async (): Promise<readonly string[]> => {
    const now = process.hrtime.bigint();
    const states = (await rows.entries('hosts')).map(({ key, value }) => ({
      ...maps.hosts.key.decode(key),
      ...maps.hosts.value.decode(value),
    }));
    return states
      .filter(({ asked_at, heard_at }) => asked_at > heard_at && now - asked_at > silent_ns)
      .map(({ host }) => formatAddress(host))
      .sort();
  };

  const countLookups = (): bigint => {
    let count = 0n;
    for (const program of programs) {
      for (const verdict of lookups) {
        const key = Buffer.alloc(4);
        key.writeUInt32LE(counterIndex(program, verdict));
        const value = map('counters').lookup(key);
        if (value === undefined) continue;
        for (const { packets } of decodePerCpu(maps.counters.value, value)) count += packets;
      }
    }
    return count;
  };

  return {
    get silentHosts() {
      return silentHosts;
    },
    get lookups_per_s() {
      return lookups_per_s;
    },
    look: async () => {
      const count = countLookups();
      const at_ms = performance.now();
      if (last !== undefined) lookups_per_s = Math.round((Number(count - last.count) * 1_000) / (at_ms - last.at_ms));
      last = { count, at_ms };
      silentHosts = await readSilent();
    },
  };
};
