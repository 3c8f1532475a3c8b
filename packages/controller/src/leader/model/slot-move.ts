/**
 * The move of one slot as a state machine that can be searched exhaustively: an old and a new owner, a host that asks,
 * a creator of one endpoint in the slot, and two controllers of which one leads. docs/decisions/0009-moving-a-slot.md
 * has the states and invariants in words; the spec beside this searches every interleaving.
 *
 * Stricter than the real thing: the slot has no second owner that could answer instead, and a detached host comes back
 * when it likes.
 */

/** The table's states in the store. `removed`: the old owner is a stub. `forgotten`: it is no longer in the table. */
export type Phase = 'resting' | 'loading' | 'switched' | 'removed' | 'forgotten';

type Txn = Phase | 'create';

/** Every rule of the protocol that can be left out, to see that something breaks then. */
export interface Rules {
  /** The new owner serves only after it has acknowledged the whole slot. */
  readonly waitLoaded: boolean;
  /** The old owner's rows go only when every attached host that asks has acknowledged the new epoch... */
  readonly waitUsers: boolean;
  /** ...and both owners have. */
  readonly waitOwners: boolean;
  /** A creation waits for an owner that is loading, */
  readonly createWaitsLoading: boolean;
  /** and for one that is leaving. */
  readonly createWaitsLeaving: boolean;
  /** A creation compares the table it took its wait set from. */
  readonly createCompares: boolean;
  /** Between serving and gone an owner is leaving: it answers, and gets what is created. */
  readonly leaving: boolean;
  /** The old owner can pass questions on until all who might ask it, attached or not, have the new epoch. */
  readonly stub: boolean;
  /** The leader's txns compare the table (and the leader's key). */
  readonly fence: boolean;
  /** A leader goes on with what it finds in the store. */
  readonly resume: boolean;
}

export const allRules: Rules = {
  waitLoaded: true,
  waitUsers: true,
  waitOwners: true,
  createWaitsLoading: true,
  createWaitsLeaving: true,
  createCompares: true,
  leaving: true,
  stub: true,
  fence: true,
  resume: true,
};

interface Host {
  /** Transactions of the log that are in its kernel. */
  readonly applied: number;
  readonly attached: boolean;
  /** The slot's rows are not complete: nothing further is applied or acknowledged before they are. */
  readonly partial: boolean;
}

interface Leader {
  /** create_revision of the leader key as this process knows it; 0 when it does not lead. */
  readonly token: number;
  /** The next step, its wait being over, and the revision of the table it was taken for. */
  readonly decided: { readonly to: Phase; readonly table: number } | undefined;
  /** The last step was this process's own. */
  readonly began: boolean;
}

interface Question {
  readonly at: 'old' | 'new';
  readonly epoch: number;
  readonly second: boolean;
  readonly hops: number;
  /**
   * A host came back, or the stub went (which has a time to wait for that reason), while it was under way: longer than
   * packets live. It may be lost, but not denied.
   */
  readonly late: boolean;
}

export interface State {
  readonly log: readonly Txn[];
  readonly old: Host;
  readonly new: Host;
  readonly user: Host;
  /** Revision of the table that the creator has read; 'written' and 'returned' follow. */
  readonly creator: number | 'idle' | 'written' | 'returned';
  /** create_revision of the leader key in the store. */
  readonly leaderKey: number;
  readonly leaders: readonly [Leader, Leader];
  /** How often hosts may still lose their sessions. */
  readonly detachments: number;
  /** About the endpoint, whose creation had returned when it was asked. */
  readonly question: Question | undefined;
  /** What must never be: set by the step that did it. */
  readonly violation?: string;
}

/** The same for equal states only. */
export const keyOf = (state: State): string => {
  const { log, creator, leaderKey, leaders, detachments, question: q } = state;
  const host = ({ applied, attached, partial }: Host): string =>
    `${applied}${attached ? 'a' : 'd'}${partial ? 'p' : ''}`;
  const leader = ({ token, decided, began }: Leader): string =>
    `${token}${decided === undefined ? '' : decided.to + decided.table}${began ? 'b' : ''}`;
  const asked = q === undefined ? '' : `${q.at}${q.epoch}${q.second ? 's' : ''}${q.hops}${q.late ? 'l' : ''}`;
  const hosts = [state.old, state.new, state.user].map(host);
  return [log, ...hosts, creator, leaderKey, ...leaders.map(leader), detachments, asked].join(' ');
};

export interface Step {
  readonly label: string;
  readonly state: State;
}

const idle: Leader = { token: 0, decided: undefined, began: false };
const fresh: Host = { applied: 0, attached: true, partial: false };

export const initial = (detachments: number): State => ({
  log: [],
  old: fresh,
  new: fresh,
  user: fresh,
  creator: 'idle',
  leaderKey: 0,
  leaders: [idle, idle],
  detachments,
  question: undefined,
});

const elections_max = 2;
const aborts_max = 1;
const hops_max = 4;

/** The move is complete, stub and all, and so is the creation. */
export const complete = ({ log, creator, question }: State): boolean =>
  phaseAt(log, log.length) === 'forgotten' && creator === 'returned' && question === undefined;

/** No controller leads, and the model has no further election: here it ends, not the protocol. */
export const leaderless = ({ leaderKey, leaders }: State): boolean =>
  leaderKey === elections_max && !leaders.some(({ token }) => token === leaderKey);

const phaseAt = (log: readonly Txn[], applied: number): Phase =>
  log.slice(0, applied).findLast((txn): txn is Phase => txn !== 'create') ?? 'resting';
const phaseOf = (state: State): Phase => phaseAt(state.log, state.log.length);
/** mod_revision of the table: the place of its last write in the log. */
const tableRevision = (log: readonly Txn[]): number => log.findLastIndex((txn) => txn !== 'create') + 1;
const epochOf = (phase: Phase): number => (phase === 'resting' || phase === 'loading' ? 1 : 2);

/** What a host is to the slot in a phase of the table. */
const roleOf = (who: 'old' | 'new', phase: Phase): 'absent' | 'loading' | 'serving' | 'leaving' => {
  if (who === 'old') {
    if (phase === 'switched') return 'leaving';
    return phase === 'resting' || phase === 'loading' ? 'serving' : 'absent';
  }
  if (phase === 'resting') return 'absent';
  return phase === 'loading' ? 'loading' : 'serving';
};

const holds = (state: State, who: 'old' | 'new', phase: Phase): boolean =>
  state.log.includes('create') &&
  state.log.indexOf('create') < state[who].applied &&
  roleOf(who, phase) !== 'absent' &&
  !state[who].partial;

const acknowledged = (host: Host, revision: number): boolean => host.applied >= revision && !host.partial;
const settled = (host: Host, revision: number): boolean => !host.attached || acknowledged(host, revision);

export const next = (state: State, rules: Rules): Step[] => [
  ...hostSteps(state),
  ...creatorSteps(state, rules),
  ...leaderSteps(state, rules),
  ...questionSteps(state),
];

const hostSteps = (state: State): Step[] => {
  const steps: Step[] = [];
  const { detachments } = state;
  const put = (who: 'old' | 'new' | 'user', change: Partial<Host>, label: string, all: Partial<State> = {}): void => {
    steps.push({ label: `${who} ${label}`, state: { ...state, ...all, [who]: { ...state[who], ...change } } });
  };
  for (const who of ['old', 'new', 'user'] as const) {
    const host = state[who];
    if (!host.attached) {
      // Everything is sent anew, and only then the host counts as attached.
      const question = state.question && { ...state.question, late: true };
      put(who, { attached: true, applied: state.log.length, partial: false }, 'attaches', { question });
      continue;
    }
    if (detachments > 0) put(who, { attached: false }, 'detaches', { detachments: detachments - 1 });
    if (host.partial) put(who, { partial: false }, 'has the whole slot');
    else if (host.applied < state.log.length) put(who, applyNext(state, who), 'applies');
  }
  return steps;
};

const applyNext = (state: State, who: 'old' | 'new' | 'user'): Partial<Host> => {
  const { applied } = state[who];
  if (who === 'user') return { applied: applied + 1 };
  const gains =
    roleOf(who, phaseAt(state.log, applied)) === 'absent' && roleOf(who, phaseAt(state.log, applied + 1)) !== 'absent';
  return { applied: applied + 1, partial: gains };
};

const creatorSteps = (state: State, rules: Rules): Step[] => {
  const { creator, log } = state;
  const to = (change: Partial<State>, label: string): Step => ({
    label: `creator ${label}`,
    state: { ...state, ...change },
  });
  if (creator === 'returned') return [];
  if (creator === 'idle') return [to({ creator: tableRevision(log) }, 'reads the table')];
  if (typeof creator === 'number') {
    if (creator !== tableRevision(log) && rules.createCompares) return [to({ creator: 'idle' }, 'tries again')];
    // Without the comparison it goes on with the wait set that it read.
    const written = creator === tableRevision(log) ? 'written' : creator;
    if (log.includes('create')) return waitSteps(state, rules, phaseAt(log, creator), to);
    return [to({ log: [...log, 'create'], creator: written }, 'writes')];
  }
  return waitSteps(state, rules, phaseAt(log, log.indexOf('create')), to);
};

const waitSteps = (
  state: State,
  rules: Rules,
  phase: Phase,
  to: (change: Partial<State>, label: string) => Step,
): Step[] => {
  const revision = state.log.indexOf('create') + 1;
  const ready = (['old', 'new'] as const).every((who) => {
    const role = roleOf(who, phase);
    if (role === 'absent') return true;
    if (role === 'loading' && !rules.createWaitsLoading) return true;
    if (role === 'leaving' && !rules.createWaitsLeaving) return true;
    return settled(state[who], revision);
  });
  return ready ? [to({ creator: 'returned' }, 'returns')] : [];
};

const leaderSteps = (state: State, rules: Rules): Step[] => {
  const steps: Step[] = [];
  state.leaders.forEach((leader, i) => {
    const put = (change: Partial<Leader>, label: string, store: Partial<State> = {}): void => {
      const leaders = state.leaders.map((one, n) => (n === i ? { ...one, ...change } : one)) as [Leader, Leader];
      steps.push({ label: `controller ${i + 1} ${label}`, state: { ...state, ...store, leaders } });
    };
    if (leader.token === 0) {
      // The key of another one is gone: its lease ended, whatever that one believes.
      if (state.leaderKey < elections_max)
        put({ token: state.leaderKey + 1 }, 'is elected', { leaderKey: state.leaderKey + 1 });
      return;
    }
    put(idle, 'crashes');
    if (leader.decided === undefined) {
      for (const to of decisions(state, rules, leader)) {
        put({ decided: { to, table: tableRevision(state.log) } }, `decides ${to}`);
      }
      return;
    }
    const { to, table } = leader.decided;
    const mine = leader.token === state.leaderKey && table === tableRevision(state.log);
    if (rules.fence && !mine) put({ decided: undefined, began: false }, 'is refused');
    else if (phaseOf(state) === to) put({ decided: undefined }, 'has nothing to do');
    else {
      const question = state.question && { ...state.question, late: state.question.late || to === 'forgotten' };
      put({ decided: undefined, began: true }, `writes ${to}`, { log: [...state.log, to], question });
    }
  });
  return steps;
};

/** The steps whose conditions hold by what is in the store and acknowledged by hosts. */
const decisions = (state: State, rules: Rules, leader: Leader): Phase[] => {
  const revision = tableRevision(state.log);
  const phase = phaseOf(state);
  const told = (host: Host): boolean => settled(host, revision);
  if (!rules.resume && !leader.began && phase !== 'resting') return [];
  switch (phase) {
    case 'resting':
      return state.new.attached ? ['loading'] : [];
    case 'loading': {
      const aborts = state.log.filter((txn) => txn === 'resting').length;
      const abort: Phase[] = !state.new.attached && aborts < aborts_max ? ['resting'] : [];
      const loaded = !rules.waitLoaded || (state.new.attached && acknowledged(state.new, revision));
      return [...abort, ...(loaded ? [rules.leaving ? ('switched' as const) : ('removed' as const)] : [])];
    }
    case 'switched': {
      const users = !rules.waitUsers || told(state.user);
      const owners = !rules.waitOwners || (told(state.old) && told(state.new));
      return users && owners ? ['removed'] : [];
    }
    case 'removed':
      return !rules.stub || (acknowledged(state.user, revision) && told(state.old) && told(state.new))
        ? ['forgotten']
        : [];
    case 'forgotten':
      return [];
  }
};

/** What the datapath does with a question, by the asker's and the asked host's own tables. */
const questionSteps = (state: State): Step[] => {
  const { question } = state;
  if (question === undefined) {
    if (state.creator !== 'returned') return [];
    const phase = phaseAt(state.log, state.user.applied);
    const at = epochOf(phase) === 1 ? 'old' : 'new';
    const asked: Question = { at, epoch: epochOf(phase), second: false, hops: 0, late: false };
    return [{ label: `user asks ${at}`, state: { ...state, question: asked } }];
  }
  const { at, epoch, second, hops, late } = question;
  const host = state[at];
  const phase = phaseAt(state.log, host.applied);
  const role = roleOf(at, phase);
  const other = at === 'old' ? 'new' : 'old';
  const unanswered = late ? undefined : 'a question was not answered';
  const answer = (label: string, violation?: string): Step[] => [
    {
      label: `${at} ${label}`,
      state: { ...state, question: undefined, ...(violation === undefined ? {} : { violation }) },
    },
  ];
  const pass = (change: Partial<Question>): Step[] =>
    hops === hops_max
      ? answer('drops: too many hops', 'a question ran out of hops')
      : [
          {
            label: `${at} passes on to ${other}`,
            state: { ...state, question: { ...question, at: other, hops: hops + 1, ...change } },
          },
        ];
  if (holds(state, at, phase)) return answer('tells');
  // A host without a session never denies, and may know nobody to pass to.
  if (!host.attached) return answer('is silent: it is detached');
  if (role === 'absent') {
    // Never told of the table, or no longer told: nothing to pass on by.
    if (phase === 'forgotten' || (at === 'new' && phase === 'resting')) {
      return answer('drops: it has no table', unanswered);
    }
    return epochOf(phase) > epoch
      ? pass({ epoch: epochOf(phase) })
      : answer('drops: its table is not newer', unanswered);
  }
  if (role === 'serving' || second) return answer('denies', 'an endpoint that was created is denied');
  return pass({ second: true });
};
