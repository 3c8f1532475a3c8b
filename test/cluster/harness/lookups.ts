// Which lost datagrams the death of a bouncer excuses.
import type { Endpoint } from '@megrez/model';
import type { Gap } from './flows';
import type { Parties } from './load';

/** From the first lookup of a host that a dead owner leaves unanswered to the last one it may lose to it. */
export const recovery_ms = 300;

/** While a host is away. */
export interface Loss {
  readonly from_ms: number;
  readonly until_ms: number;
}

const nameOf = ({ vpc, subnet, name }: Endpoint) => `${vpc}/${subnet}/${name}`;

/**
 * Lost datagrams that nothing excuses. A host finds out that an owner is dead when it asks it; from then on it asks the
 * other one. So each host may lose lookups for a moment, once per loss, and nothing else.
 */
export function unexcused(gaps: readonly Gap[], { talkers, rare }: Parties, losses: readonly Loss[]): readonly Gap[] {
  const hosts = new Map(talkers.map((endpoint) => [nameOf(endpoint), endpoint.host]));
  const isRare = new Set(rare.map(nameOf));
  const excused = new Set<Gap>();
  for (const { from_ms, until_ms } of losses) {
    const first = new Map<string, number>();
    const during = gaps.filter(
      ({ to, begin_ms, end_ms }) => isRare.has(to) && begin_ms >= from_ms && end_ms <= until_ms,
    );
    for (const gap of [...during].sort((a, b) => a.begin_ms - b.begin_ms)) {
      const host = hosts.get(gap.from) ?? '';
      const since_ms = first.get(host) ?? gap.begin_ms;
      first.set(host, since_ms);
      if (gap.end_ms <= since_ms + recovery_ms) {
        excused.add(gap);
      }
    }
  }
  return gaps.filter((gap) => !excused.has(gap));
}
