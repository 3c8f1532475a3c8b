/** At most `limit` of the tasks run at once; the others wait in the order they came. */
export type Semaphore = <T>(task: () => Promise<T>) => Promise<T>;

export const semaphore = (limit: number): Semaphore => {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
};
