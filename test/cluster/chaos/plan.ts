// What happens in a run, all of it from the seed: what is changed, what fails meanwhile, and when.
import { random } from '../harness/random';

/** Endpoints live here; these hosts never lose their network, so nothing may be lost between them. */
export const users = ['h1', 'h2', 'h3'];
/** May be cut off or die: whatever they hold must be found elsewhere. */
export const spares = ['h4', 'h5', 'h6'];
export const hosts = [...users, ...spares];
export const controllers = ['controller-1', 'controller-2'];
export const subnets = ['web', 'db'];
export const movers = 2;

export type Change =
  | { readonly kind: 'move'; readonly mover: number }
  | { readonly kind: 'bouncers'; readonly subnet: string; readonly count: number }
  | { readonly kind: 'dividers'; readonly count: number }
  | { readonly kind: 'drain'; readonly host: string }
  | { readonly kind: 'churn'; readonly subnet: string; readonly host: string };

export type Fault =
  /** SIGKILL, and later started again. */
  | { readonly kind: 'kill'; readonly name: string }
  /** SIGSTOP, and later started again. */
  | { readonly kind: 'stop'; readonly name: string }
  /** Killed and started again at once. */
  | { readonly kind: 'restart'; readonly name: string }
  /** Like kill, of whichever controller leads at the time. */
  | { readonly kind: 'kill-leader' }
  /** Off the network, its agent goes on. */
  | { readonly kind: 'cut'; readonly host: string }
  /** Off the network, its agent killed. */
  | { readonly kind: 'die'; readonly host: string };

export interface Round {
  readonly changes: readonly Change[];
  readonly fault: Fault;
  /** From the start of the changes to the fault. */
  readonly delay_ms: number;
  /** From the fault to its end. */
  readonly hold_ms: number;
}

/** Rounds without end; the same for the same seed. */
export function* rounds(seed: number): Generator<Round, never> {
  const { below, pick } = random(seed);
  const change = (): Change => {
    switch (below(6)) {
      case 0:
      case 1:
        return { kind: 'move', mover: below(movers) };
      case 2:
        return { kind: 'bouncers', subnet: pick(subnets), count: 1 + below(4) };
      case 3:
        return { kind: 'dividers', count: 1 + below(4) };
      case 4:
        return { kind: 'drain', host: pick(hosts) };
      default:
        return { kind: 'churn', subnet: pick(subnets), host: pick(users) };
    }
  };
  const fault = (): Fault => {
    switch (below(10)) {
      case 0:
      case 1:
        return { kind: 'kill', name: pick(hosts) };
      case 2:
        return { kind: 'stop', name: pick(hosts) };
      case 3:
        return { kind: 'restart', name: pick(hosts) };
      case 4:
        return { kind: pick(['kill', 'stop', 'restart'] as const), name: pick(controllers) };
      case 5:
        return { kind: 'kill-leader' };
      case 6:
        return { kind: pick(['kill', 'stop', 'restart'] as const), name: 'etcd' };
      case 7:
        return { kind: 'cut', host: pick(spares) };
      default:
        return { kind: 'die', host: pick(spares) };
    }
  };
  for (;;) {
    const changes = Array.from({ length: 1 + below(3) }, change);
    yield { changes, fault: fault(), delay_ms: below(400), hold_ms: 100 + below(below(3) === 0 ? 5000 : 1000) };
  }
}

export function describeChange(change: Change): string {
  switch (change.kind) {
    case 'move':
      return `mover ${change.mover} moves`;
    case 'bouncers':
      return `${change.subnet} gets ${change.count} bouncers`;
    case 'dividers':
      return `the VPC gets ${change.count} dividers`;
    case 'drain':
      return `${change.host} is drained and undrained`;
    default:
      return `an endpoint of ${change.subnet} comes to ${change.host} and goes`;
  }
}
