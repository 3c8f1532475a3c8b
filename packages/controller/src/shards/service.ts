import type { handleServerStreamingCall, ServerWritableStream } from '@grpc/grpc-js';
import type { ShardJob, ShardProgress, WatchProgressRequest } from '@megrez/model';
import type { Context } from '../context';
import { toMegrezError, toStatus } from '../server/errors';
import { cancelJob, listJobs, pauseJob, resumeJob } from './control';
import { findJob } from './create-job';
import { checkScope } from './fleet';
import { listShards, showPlan } from './list';
import { follow, progressOfJob, scopeWatcher } from './progress';
import { startDrain, startMove, startRebalance, startUndrain } from './start-jobs';

export const shardHandlers = { listShards, planRebalance: showPlan, listJobs, pauseJob, resumeJob, cancelJob };

type Stream = handleServerStreamingCall<never, never>;

export const shardStreams = (context: Context): Readonly<Record<string, Stream>> => {
  const job = (start: (request: never) => Promise<ShardJob>): Stream =>
    stream(context, async (call: ServerWritableStream<never, ShardProgress>) => {
      const started = await start(call.request);
      await follow(context, call, () => progressOfJob(context, started));
    });
  return {
    rebalance: job((request) => startRebalance(context, request)),
    drain: job((request) => startDrain(context, request)),
    undrain: job((request) => startUndrain(context, request)),
    moveSlots: job((request) => startMove(context, request)),
    watchProgress: stream(context, async (call: ServerWritableStream<WatchProgressRequest, ShardProgress>) => {
      const { request } = call;
      if (request.job !== 0) {
        const { value } = await findJob(context, request.job);
        await follow(context, call, () => progressOfJob(context, value));
        return;
      }
      await checkScope(context, request);
      await follow(context, call, scopeWatcher(context, request));
    }),
  };
};

/** A caller that hangs up ends the stream, and nothing else. */
const stream =
  <Request>(context: Context, run: (call: ServerWritableStream<Request, ShardProgress>) => Promise<void>) =>
  (call: ServerWritableStream<Request, ShardProgress>): void => {
    run(call).catch((error: unknown) => call.emit('error', toStatus(toMegrezError(error, context.log))));
  };
