/** Something that happens again and again, for waiters that look at the state themselves after each time. */
export interface Signal {
  raise(): void;
  /** Resolves at the next raise, or after the time. */
  next(timeout_ms: number): Promise<void>;
}

export const signal = (): Signal => {
  let waiters = new Set<() => void>();
  return {
    raise: () => {
      if (waiters.size === 0) return;
      const woken = waiters;
      waiters = new Set();
      for (const wake of woken) wake();
    },
    next: (timeout_ms) =>
      new Promise((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, Math.max(0, timeout_ms));
        waiters.add(wake);
      }),
  };
};
