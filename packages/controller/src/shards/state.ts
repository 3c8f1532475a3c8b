import { ShardJob, SlotPlan } from '@megrez/model';
import { parseKey, type WatchBatch } from '@megrez/store';
import { type Stored, subnetKey } from '../mirror';

/** What the watch has told about slots in motion, in step with the mirror. */
export interface ShardState {
  /** By subnetKey. */
  readonly plans: Map<string, Stored<SlotPlan>>;
  readonly jobs: Map<number, Stored<ShardJob>>;
  /** Some controller leads. */
  led: boolean;
  /** By subnetKey, and '' for the fleet: what the leader waits for, one sentence each; empty where another one leads. */
  readonly waiting: Map<string, readonly string[]>;
}

export const emptyShardState = (): ShardState => ({
  plans: new Map(),
  jobs: new Map(),
  led: false,
  waiting: new Map(),
});

/** Before the mirror takes the batch in and wakes who waits. */
export const applyToShardState = (state: ShardState, batch: WatchBatch): void => {
  for (const { path, value, revision } of batch.events) {
    const key = parseKey(path);
    if (key.kind === 'leader') state.led = value !== undefined;
    else if (key.kind === 'job') {
      if (value === undefined) state.jobs.delete(key.id);
      else state.jobs.set(key.id, { value: ShardJob.fromBinary(value), revision });
    } else if (key.kind === 'slot-plan') {
      const name = subnetKey(key.vni, key.subnet);
      if (value === undefined) state.plans.delete(name);
      else state.plans.set(name, { value: SlotPlan.fromBinary(value), revision });
    }
  }
};
