/** Resolves when SIGINT or SIGTERM has asked the service to end and `close` has ended it; a second signal ends at once. */
export const untilStopped = (close: () => Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(1);
      asked = true;
      // What is left open after close() must not keep a service that said goodbye.
      close()
        .then(resolve, reject)
        .finally(() => setTimeout(() => process.exit(), 2_000).unref());
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
  });

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
