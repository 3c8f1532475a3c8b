/** Lets entries through at a rate: who takes more than there is waits until it has come in. */
export interface Pace {
  /** Entries that may sensibly go at once. */
  readonly batch: number;
  /** Milliseconds to wait before these entries may go. */
  take(entries: number, now_ms: number): number;
}

export const pace = (entries_per_second: number): Pace => {
  let free_ms = 0;
  return {
    batch: Math.max(1, Math.floor(entries_per_second / 8)),
    take: (entries, now_ms) => {
      const wait_ms = Math.max(0, free_ms - now_ms);
      free_ms = now_ms + wait_ms + (entries / entries_per_second) * 1_000;
      return wait_ms;
    },
  };
};
