/** npm and timeout(1) pass on a signal that the whole group has got: an echo within this time is no second wish. */
const echo_ms = 1_000;

/**
 * Resolves when SIGINT or SIGTERM has asked the service to end and `close` has ended it. Whoever asks again, at least
 * a second later, does not wait for that.
 */
export const untilStopped = (close: () => Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    let asked_ms: number | undefined;
    const stop = (): void => {
      const now_ms = performance.now();
      if (asked_ms !== undefined && now_ms - asked_ms >= echo_ms) process.exit(1);
      if (asked_ms !== undefined) return;
      asked_ms = now_ms;
      // What is left open after close() must not keep a service that said goodbye.
      close()
        .then(resolve, reject)
        .finally(() => setTimeout(() => process.exit(), 2_000).unref());
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
  });

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
