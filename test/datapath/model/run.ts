/**
 * The datapath's executable specification: one packet through one program of one host. Written from the design, the
 * comments of bpf/abi.h and bpf/wire.h and the packet tables; it shares no code with the programs, and is slow and plain
 * where they are not.
 */
import { isDrop, type ProgramWord, type VerdictWord } from '@megrez/abi';
import { endpoint } from './endpoint';
import { bouncer, nic } from './nic';
import { countDrop, type State } from './state';

export interface Run {
  readonly state: State;
  /** CLOCK_MONOTONIC, ns. */
  readonly now: number;
  readonly packet: Buffer;
  readonly ifindex: number;
  readonly gso_size: number;
  /** Its own host sends it on its way once more: checked and counted already. */
  readonly again: boolean;
  /** Interfaces there are; a row may name one that went away. */
  readonly interfaces: ReadonlySet<number>;
}

/** What a program decided; `state` has been changed by then. */
export interface Step {
  readonly verdict: VerdictWord;
  /** Whom a drop is counted for. */
  readonly vni: number;
  /** Absent: drops are dropped and what passes is untouched. */
  readonly action?: 'redirect' | 'tx' | 'drop' | 'pass';
  readonly packet?: Buffer;
  /** Sent beside the packet itself. */
  readonly emitted?: readonly { readonly ifindex: number; readonly packet: Buffer }[];
  /** What a local endpoint was given. */
  readonly received?: { readonly ifindex: number; readonly bytes: number };
}

export interface Outcome {
  readonly verdict: VerdictWord;
  readonly action: 'redirect' | 'tx' | 'drop' | 'pass';
  /** Undefined for drops, whose bytes are the kernel's to free. */
  readonly packet: Buffer | undefined;
  readonly emitted: readonly { readonly ifindex: number; readonly packet: Buffer }[];
}

const programs = {
  endpoint,
  nic,
  bouncer,
  tunnel: (): Step => ({ verdict: 'foreign', vni: 0 }),
} as const satisfies Record<ProgramWord, (run: Run) => Step>;

/** Runs `program` on a packet; `run.state` becomes what it is afterwards. */
export const runModel = (program: ProgramWord, run: Run): Outcome => {
  const step = programs[program](run);
  const bytes = run.packet.length;
  if (isDrop(step.verdict)) countDrop(run.state, step.vni, step.verdict, bytes);
  if (program === 'endpoint' && !run.again) count(run.state, run.ifindex, 'sent', bytes);
  if (step.received) count(run.state, step.received.ifindex, 'received', step.received.bytes);
  const action = step.action ?? (step.verdict === 'pass' ? 'pass' : 'drop');
  return {
    verdict: step.verdict,
    action,
    packet: action === 'pass' ? run.packet : action === 'drop' ? undefined : step.packet,
    emitted: step.emitted ?? [],
  };
};

const count = (state: State, ifindex: number, way: 'sent' | 'received', bytes: number): void => {
  const counters = state.traffic.get(ifindex);
  if (!counters) return;
  counters[way].packets++;
  counters[way].bytes += bytes;
};
