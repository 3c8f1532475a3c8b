import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** Without it 30,000. */
  readonly timeout_ms?: number;
  /** Without it 50. */
  readonly interval_ms?: number;
}

/**
 * Looks again and again until the check gives what is wanted; a check that throws is looked at again too.
 * @throws Error with the last thing seen
 */
export async function until<T>(
  what: string,
  check: () => Promise<T>,
  isWanted: (value: T) => boolean,
  { timeout_ms = 30_000, interval_ms = 50 }: UntilOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeout_ms;
  for (;;) {
    let last: string;
    try {
      const value = await check();
      if (isWanted(value)) {
        return value;
      }
      last = String(value);
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${timeout_ms} ms; last: ${last}`);
    }
    await sleep(interval_ms);
  }
}
