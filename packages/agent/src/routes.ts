import { watchRoutes } from '@megrez/kernel';

/** A routing daemon that converges changes many routes at once. */
const quiet_ms = 100;

/** Calls back when routes changed, once for all that change at about the same time. */
export const followRoutes = (onChange: () => void): { close(): void } => {
  let timer: NodeJS.Timeout | undefined;
  const watch = watchRoutes(() => {
    timer ??= setTimeout(() => {
      timer = undefined;
      onChange();
    }, quiet_ms);
  });
  return {
    close: () => {
      watch.close();
      clearTimeout(timer);
    },
  };
};
