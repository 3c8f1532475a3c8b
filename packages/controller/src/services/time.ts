import { MegrezError } from '@megrez/model';
import type { Context } from '../context';
import type { Call } from '../server/rpc';

/**
 * Before a txn: whoever has no time left begins nothing. `what` is true then, e.g. `nothing was stored`.
 * @throws MegrezError DEADLINE_EXCEEDED / NO_TIME_LEFT, UNAVAILABLE / CONTROLLER_STOPS
 */
export const checkTime = ({ closing }: Context, object: string, call: Call, what: string): void => {
  if (closing.aborted) {
    throw new MegrezError({
      code: 'UNAVAILABLE',
      reason: 'CONTROLLER_STOPS',
      object,
      message: `this controller stops: ${what}; ask another one`,
    });
  }
  if (performance.now() <= call.deadline_ms) return;
  throw new MegrezError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'NO_TIME_LEFT',
    object,
    message: `the time of the call is over: ${what}; try again`,
  });
};
