import { complete, keyOf, leaderless, next, type Rules, type State } from './slot-move';

export interface Search {
  readonly states: number;
  /** The shortest way to something that must never be; undefined when there is none. */
  readonly violation: { readonly what: string; readonly trace: readonly string[] } | undefined;
  /** The way to a state in which somebody leads and the move can never be completed; undefined when there is none. */
  readonly stuck: readonly string[] | undefined;
}

interface Seen {
  readonly from: number;
  readonly label: string;
}

/** Every state that any interleaving reaches, breadth first; stops at the first violation. */
export const search = (initial: State, rules: Rules): Search => {
  const ids = new Map<string, number>([[keyOf(initial), 0]]);
  const states: State[] = [initial];
  const seen: Seen[] = [{ from: -1, label: 'start' }];
  const before: number[][] = [[]];
  const trace = (end: number): string[] => {
    const labels: string[] = [];
    for (let id = end; id > 0; id = seen[id]?.from ?? 0) labels.push(seen[id]?.label ?? '');
    return labels.toReversed();
  };
  for (let id = 0; id < states.length; id += 1) {
    for (const { label, state } of next(states[id] as State, rules)) {
      if (state.violation !== undefined) {
        const way = [...trace(id), label];
        return { states: states.length, violation: { what: state.violation, trace: way }, stuck: undefined };
      }
      const key = keyOf(state);
      let to = ids.get(key);
      if (to === undefined) {
        to = states.length;
        ids.set(key, to);
        states.push(state);
        seen.push({ from: id, label });
        before.push([]);
      }
      before[to]?.push(id);
    }
  }
  const stuck = unable(states, before);
  return { states: states.length, violation: undefined, stuck: stuck === undefined ? undefined : trace(stuck) };
};

/** The first state from which no way leads to completion. */
const unable = (states: readonly State[], before: readonly (readonly number[])[]): number | undefined => {
  const able = new Uint8Array(states.length);
  const queue = states.flatMap((state, id) => (complete(state) ? [id] : []));
  for (const id of queue) able[id] = 1;
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    for (const from of before[id] ?? []) {
      if (able[from] === 1) continue;
      able[from] = 1;
      queue.push(from);
    }
  }
  const stuck = states.findIndex((state, id) => able[id] === 0 && !leaderless(state));
  return stuck === -1 ? undefined : stuck;
};
