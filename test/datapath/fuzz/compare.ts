/** What the programs did against what the model says. */
import {
  decodeBudget,
  decodeDropKey,
  decodeFlow,
  decodeFlowKey,
  decodeHostKey,
  decodeHostState,
  decodeNotice,
  decodeNoticeKey,
  decodePath,
  decodeQuota,
  decodeTraffic,
  encodePath,
  type ProgramWord,
  verdictWord,
} from '@megrez/abi';
import { addressOf } from '../model/bytes';
import { type Outcome, runModel } from '../model/run';
import { about, type Flow, flowOf, pathOf, type State, stateOf } from '../model/state';
import { nicIfindex, portIfindexes, type Result, type Shown, type Written } from './machine';
import type { Shot, World } from './world';

export interface Difference {
  /** Index of the packet; undefined: the maps afterwards. */
  readonly shot: number | undefined;
  /** Stays the same while a case is made smaller. */
  readonly kind: string;
  readonly model: string;
  readonly program: string;
}

export interface Comparison {
  readonly difference: Difference | undefined;
  readonly verdicts: readonly string[];
  /** The clock ticked while a packet was under way, and no time explains the difference. */
  readonly undecided: boolean;
}

const actions: Record<ProgramWord, Record<number, Outcome['action']>> = {
  endpoint: { 2: 'drop', 7: 'redirect', [-1 >>> 0]: 'pass' },
  nic: { 2: 'drop', 7: 'redirect', [-1 >>> 0]: 'pass' },
  tunnel: { 2: 'drop' },
  bouncer: { 1: 'drop', 2: 'pass', 3: 'tx' },
};

export const compare = (world: World, result: Result): Comparison => {
  const first = compareAt(world, result, 'before');
  const ticked = result.shown.some(({ before, after }) => before !== after);
  if (!first.difference || !ticked) return { ...first, undecided: false };
  const second = compareAt(world, result, 'after');
  return { ...second, undecided: second.difference !== undefined };
};

const compareAt = (world: World, result: Result, time: 'before' | 'after'): Omit<Comparison, 'undecided'> => {
  const state = stateOf(world.entries);
  const verdicts: string[] = [];
  for (const [index, shot] of world.shots.entries()) {
    const shown = result.shown[index] as Shown;
    const outcome = runModel(shot.program, {
      state,
      now: shown[time],
      packet: shot.packet,
      ifindex: shot.program === 'bouncer' || shot.program === 'tunnel' ? 0 : shot.ifindex,
      gso_size: shot.gso_size,
      again: shot.again,
      interfaces,
    });
    verdicts.push(`${shot.program}/${outcome.verdict}`);
    const difference = differs(shot, outcome, shown);
    if (difference) return { difference: { ...difference, shot: index }, verdicts };
  }
  return { difference: mapsDiffer(state, result), verdicts };
};

const interfaces = new Set<number>([1, nicIfindex, ...portIfindexes]);

const hex = (packet: Buffer | undefined): string => packet?.toString('hex') ?? 'nothing';

const differs = (shot: Shot, outcome: Outcome, shown: Shown): Omit<Difference, 'shot'> | undefined => {
  const where = `${shot.program}: ${outcome.verdict}`;
  const is = (what: string, model: unknown, program: unknown): Omit<Difference, 'shot'> | undefined =>
    model === program ? undefined : { kind: `${where}: ${what}`, model: String(model), program: String(program) };
  if (shown.errno) return { kind: `${where}: test run`, model: 'runs', program: `errno ${shown.errno}` };
  const verdict = verdictWord(shown.verdict) ?? `verdict ${shown.verdict}`;
  return (
    is('packets counted', 1, shown.packets) ??
    (verdict === outcome.verdict
      ? undefined
      : { kind: `${where} or ${verdict}`, model: outcome.verdict, program: verdict }) ??
    is('action', outcome.action, actions[shot.program][shown.retval] ?? `action ${shown.retval}`) ??
    is('bytes counted', shot.packet.length, shown.bytes) ??
    (outcome.packet && !outcome.packet.equals(shown.packet)
      ? { kind: `${where}: packet`, model: hex(outcome.packet), program: hex(shown.packet) }
      : undefined) ??
    is('clones', text(outcome.emitted), text(shown.emitted))
  );
};

const text = (emitted: Outcome['emitted']): string =>
  emitted.map(({ ifindex, packet }) => `${ifindex}:${packet.toString('hex')}`).join(' ');

// ---- maps: as sorted lines

const mapsDiffer = (state: State, result: Result): Difference | undefined => {
  for (const [map, read] of Object.entries(readers) as [Written, (typeof readers)[Written]][]) {
    const model = read.model(state).sort().join('\n');
    const program = result.maps[map]
      .map(({ key, value }) => read.program(key, value))
      .sort()
      .join('\n');
    if (model !== program) return { shot: undefined, kind: `map ${map}`, model, program };
  }
  return undefined;
};

const readable = (address: string): string => Buffer.from(address, 'latin1').subarray(12).join('.');

const pathLine = (path: ReturnType<typeof pathOf>): string =>
  `${path.vni}/${Buffer.from(path.ip, 'latin1').toString('hex')}: ${path.state} host ${readable(path.host)} asked ${readable(path.asked)} generation ${path.generation} told_at ${path.told_at} asked_at ${path.asked_at} checked_at ${path.checked_at} live_at ${path.live_at} mac ${path.mac.toString('hex')} asks ${path.asks}`;

const flowLine = (flow: Flow): string => {
  const ends = ({ source, source_port, destination, destination_port }: Flow | Flow['key']): string =>
    `${Buffer.from(source, 'latin1').toString('hex')}:${source_port} ${Buffer.from(destination, 'latin1').toString('hex')}:${destination_port}`;
  return `${flow.key.vni}/${flow.key.protocol} ${ends(flow.key)} -> ${ends(flow)} ${flow.state} ifindex ${flow.ifindex} pinned_at ${flow.pinned_at} seen_at ${flow.seen_at}`;
};

/** Generations from the wire are any 64 bits, and the codec's are safe integers. */
const generationAt = ((): number => {
  const nobody = new Uint8Array(16);
  const probe = {
    key: { vni: 0, ip: nobody },
    state: 0 as const,
    host: nobody,
    asked: nobody,
    told_at: 0n,
    asked_at: 0n,
    checked_at: 0n,
    live_at: 0n,
    mac: new Uint8Array(6),
    asks: 0,
  };
  return encodePath({ ...probe, generation: 0x01020304 }).indexOf(Buffer.from([4, 3, 2, 1]));
})();

const pathFrom = (value: Buffer): ReturnType<typeof pathOf> => {
  const generation = value.readBigUInt64LE(generationAt);
  const copy = Buffer.from(value);
  copy.writeBigUInt64LE(0n, generationAt);
  return { ...pathOf(decodePath(copy)), generation };
};

const readers = {
  paths: {
    model: (state: State) => [...state.paths.values()].map(pathLine),
    program: (_: Buffer, value: Buffer) => pathLine(pathFrom(value)),
  },
  notices: {
    model: (state: State) =>
      [...state.notices].map(([key, sent_at]) => `${Buffer.from(key, 'latin1').toString('hex')}: ${sent_at}`),
    program: (key: Buffer, value: Buffer) => {
      const { asker, about: of } = decodeNoticeKey(key);
      const name = `${addressOf(asker)}/${about(of.vni, addressOf(of.ip))}`;
      return `${Buffer.from(name, 'latin1').toString('hex')}: ${decodeNotice(value).sent_at}`;
    },
  },
  hosts: {
    model: (state: State) =>
      [...state.hosts].map(
        ([host, { asked_at, heard_at, probed_at }]) =>
          `${readable(host)}: asked_at ${asked_at} heard_at ${heard_at} probed_at ${probed_at}`,
      ),
    program: (key: Buffer, value: Buffer) => {
      const { asked_at, heard_at, probed_at } = decodeHostState(value);
      return `${readable(addressOf(decodeHostKey(key).host))}: asked_at ${asked_at} heard_at ${heard_at} probed_at ${probed_at}`;
    },
  },
  budgets: {
    model: (state: State) =>
      [...state.budgets].map(([ifindex, { due, error_due }]) => `${ifindex}: due ${due} error_due ${error_due}`),
    program: (key: Buffer, value: Buffer) => {
      const { due, error_due } = decodeBudget(value);
      return `${key.readUInt32LE(0)}: due ${due} error_due ${error_due}`;
    },
  },
  traffic: {
    model: (state: State) =>
      [...state.traffic].map(
        ([ifindex, { sent, received }]) =>
          `${ifindex}: sent ${sent.packets}/${sent.bytes} received ${received.packets}/${received.bytes}`,
      ),
    program: (key: Buffer, value: Buffer) => {
      const { sent, received } = decodeTraffic(value);
      return `${key.readUInt32LE(0)}: sent ${sent.packets}/${sent.bytes} received ${received.packets}/${received.bytes}`;
    },
  },
  flows: {
    model: (state: State) => [...state.flows.values()].map(flowLine),
    program: (key: Buffer, value: Buffer) => flowLine(flowOf(decodeFlowKey(key), decodeFlow(value))),
  },
  young_flows: {
    model: (state: State) => [...state.young_flows.values()].map(flowLine),
    program: (key: Buffer, value: Buffer) => flowLine(flowOf(decodeFlowKey(key), decodeFlow(value))),
  },
  quotas: {
    model: (state: State) =>
      [...state.quotas].map(([ifindex, { pinned_at, flows }]) => `${ifindex}: pinned_at ${pinned_at} flows ${flows}`),
    program: (key: Buffer, value: Buffer) => {
      const { pinned_at, flows } = decodeQuota(value);
      return `${key.readUInt32LE(0)}: pinned_at ${pinned_at} flows ${flows}`;
    },
  },
  drops: {
    model: (state: State) => [...state.drops].map(([key, { packets, bytes }]) => `${key}: ${packets}/${bytes}`),
    program: (key: Buffer, value: Buffer) => {
      const { vni, verdict } = decodeDropKey(key);
      return `${vni}/${verdictWord(verdict) ?? verdict}: ${value.readBigUInt64LE(0)}/${value.readBigUInt64LE(8)}`;
    },
  },
} as const satisfies Record<
  Written,
  { model: (state: State) => string[]; program: (key: Buffer, value: Buffer) => string }
>;
