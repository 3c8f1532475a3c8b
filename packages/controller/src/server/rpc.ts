import type { handleUnaryCall } from '@grpc/grpc-js';
import type { Context } from '../context';
import { toMegrezError, toStatus } from './errors';

export interface Call {
  /** performance.now() by which the caller must have an answer; infinite when it set no deadline. */
  readonly deadline_ms: number;
}

export type Handler<Request, Response> = (
  context: Context,
  request: Request,
  call: Call,
) => Promise<Response> | Response;

/** A handler as grpc-js wants it: errors become statuses, time and outcome become metrics. */
export const unary =
  <Request, Response>(
    context: Context,
    method: string,
    handler: Handler<Request, Response>,
  ): handleUnaryCall<Request, Response> =>
  (call, callback) => {
    const started = performance.now();
    const finish = (code: string): void => {
      context.metrics.calls.observe({ method, code }, (performance.now() - started) / 1_000);
    };
    const run = async (): Promise<Response> =>
      handler(context, call.request, { deadline_ms: deadlineOf(call.getDeadline()) });
    run().then(
      (response) => {
        finish('OK');
        callback(null, response);
      },
      (error: unknown) => {
        const known = toMegrezError(error, context.log);
        finish(known.code);
        callback(toStatus(known));
      },
    );
  };

/** Answers leave this much before the caller's deadline: a late answer names the hosts that are late, none says nothing. */
const margin_ms = 30;

const deadlineOf = (deadline: Date | number): number => {
  const at_ms = deadline instanceof Date ? deadline.getTime() : deadline;
  return Number.isFinite(at_ms) ? performance.now() + at_ms - Date.now() - margin_ms : Number.POSITIVE_INFINITY;
};
