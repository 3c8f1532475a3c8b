import { type ServiceError, status } from '@grpc/grpc-js';
import { type Failure, MegrezError, objectName } from '@megrez/model';
import type { Context } from '../context';
import { whereIs } from './attachment';
import { SessionEnded } from './session-ended';

export interface WaitOptions {
  readonly hosts: Iterable<string>;
  /** Hosts that are waited for even while they are detached; the others are left out then. */
  readonly required: ReadonlySet<string>;
  readonly revision: number;
  /** performance.now() at which waiting ends. */
  readonly deadline_ms: number;
}

export interface WaitResult {
  /** Hosts that have not acknowledged by the deadline. */
  readonly late: readonly string[];
  /** Hosts that were left out because they were, or became, detached. */
  readonly detached: readonly string[];
  /** Of objects at exactly the revision, as the agents reported them. */
  readonly failures: readonly (Failure & { readonly host: string })[];
}

const retry_ms = 100;
/** A relay that gives no answer may have been replaced meanwhile: so often it is looked at again where the host is. */
const ask_ms = 1_000;

/**
 * Waits until every host has the revision in its kernel: `applied(host, revision)`. Never throws for a late host.
 * @throws MegrezError UNAVAILABLE / CONTROLLER_STOPS
 */
export const waitHosts = async (context: Context, options: WaitOptions): Promise<WaitResult> => {
  const hosts = [...new Set(options.hosts)];
  const started = performance.now();
  const results = await Promise.all(hosts.map((host) => waitHost(context, host, options)));
  context.metrics.applyWait.observe((performance.now() - started) / 1_000);
  return {
    late: hosts.filter((_, i) => results[i] === undefined),
    detached: hosts.filter((_, i) => results[i] === 'detached'),
    failures: results.flatMap((failures, i) =>
      failures === undefined || failures === 'detached'
        ? []
        : failures.map((failure) => ({ ...failure, host: hosts[i] ?? '' })),
    ),
  };
};

/** Undefined when the deadline came first. */
const waitHost = async (
  context: Context,
  host: string,
  { required, revision, deadline_ms }: WaitOptions,
): Promise<readonly Failure[] | 'detached' | undefined> => {
  for (;;) {
    const left = deadline_ms - performance.now();
    if (context.closing.aborted) throw stopping(host);
    if (left <= 0) return undefined;
    const where = whereIs(context, host);
    if (where.kind === 'here') {
      try {
        return await within(waitLocal(context, host, revision, deadline_ms), left);
      } catch (error) {
        if (!(error instanceof SessionEnded)) throw error;
      }
    } else if (where.kind === 'elsewhere') {
      const answer = await waitElsewhere(context, where, host, revision, Math.min(left, ask_ms));
      if (answer !== undefined) return answer;
    } else if (where.kind === 'detached' && !required.has(host) && context.mirror.revision >= revision) {
      // Before, it may have come to another relay, with less than this revision, and this controller not have heard of it.
      return 'detached';
    }
    await context.mirror.changed.next(Math.min(retry_ms, left));
  }
};

/** @throws SessionEnded when the host's session is not here or ends meanwhile */
export const waitLocal = async (
  context: Context,
  host: string,
  revision: number,
  deadline_ms: number,
): Promise<readonly Failure[]> => {
  const { mirror } = context;
  while (mirror.revision < revision) {
    const left = deadline_ms - performance.now();
    if (left <= 0) throw new SessionEnded('the watch is behind');
    await mirror.changed.next(left);
  }
  const session = context.sessions.get(host);
  if (session === undefined) throw new SessionEnded();
  await session.waitApplied(revision);
  return session.failuresAt(revision);
};

const waitElsewhere = async (
  context: Context,
  { relay, address }: { readonly relay: string; readonly address: string },
  host: string,
  revision: number,
  timeout_ms: number,
): Promise<readonly Failure[] | undefined> => {
  try {
    return (await context.peers.call(address, 'waitApplied', { host, relay, revision }, timeout_ms)).failures;
  } catch (error) {
    // Another relay by now, a broken connection or the deadline: look again where the host is.
    const { code } = error as ServiceError;
    const passing: readonly number[] = [
      status.UNAVAILABLE,
      status.FAILED_PRECONDITION,
      status.DEADLINE_EXCEEDED,
      status.CANCELLED,
    ];
    if (!passing.includes(code)) context.log.warn({ err: error, host, address }, 'a relay could not be asked');
    return undefined;
  }
};

const within = <T>(promise: Promise<T>, timeout_ms: number): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), timeout_ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });

const stopping = (host: string): MegrezError =>
  new MegrezError({
    code: 'UNAVAILABLE',
    reason: 'CONTROLLER_STOPS',
    object: objectName.host(host),
    message: `this controller stops while it waits for host ${host}; what was asked for is stored: ask another one`,
  });

/** What a caller is told when hosts have not answered: the intent stays. */
export const lateError = (object: string, late: readonly string[], timeout_ms: number, what: string): MegrezError =>
  new MegrezError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'HOSTS_NOT_READY',
    object,
    hosts: late,
    message: `${object} ${what}, but ${late.join(', ')} did not confirm it within ${Math.round(timeout_ms)} ms; it takes effect when they do`,
  });
