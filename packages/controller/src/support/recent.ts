import type { RecentAddresses } from '../context';

/** Remembers ids for a time, the oldest being forgotten first when there are too many. */
export const recentAddresses = (keep_ms: number, limit = 100_000): RecentAddresses => {
  const until = new Map<string, number>();
  const prune = (): void => {
    const now = performance.now();
    for (const [id, end] of until) {
      if (end > now && until.size <= limit) return;
      until.delete(id);
    }
  };
  return {
    add: (id) => {
      until.delete(id);
      until.set(id, performance.now() + keep_ms);
      prune();
    },
    has: (id) => (until.get(id) ?? 0) > performance.now(),
  };
};
