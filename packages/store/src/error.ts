/** gRPC status codes by number, as far as etcd answers with them. */
const codeOf: Readonly<Record<number, StoreCode>> = {
  3: 'INVALID',
  4: 'DEADLINE',
  5: 'LEASE_GONE',
  7: 'DENIED',
  8: 'EXHAUSTED',
  9: 'INVALID',
  11: 'COMPACTED',
  14: 'UNAVAILABLE',
  16: 'DENIED',
};

/**
 * - `UNAVAILABLE`: no endpoint answers, or the connection broke;
 * - `DEADLINE`: connected, and no answer in time;
 * - `COMPACTED`: the revision asked for is no longer (or not yet) readable;
 * - `TOO_LARGE`: the request is larger than etcd takes; nothing was sent;
 * - `LEASE_GONE`: a put names a lease that etcd does not know;
 * - `EXHAUSTED`: etcd's space or request quota is used up;
 * - `DENIED`: etcd asks for credentials;
 * - `INVALID`: a malformed request, too many operations, one key written twice: a programmer's error;
 * - `CLOSED`: this store was closed;
 * - `INTERNAL`: everything else.
 */
export type StoreCode =
  | 'UNAVAILABLE'
  | 'DEADLINE'
  | 'COMPACTED'
  | 'TOO_LARGE'
  | 'LEASE_GONE'
  | 'EXHAUSTED'
  | 'DENIED'
  | 'INVALID'
  | 'CLOSED'
  | 'INTERNAL';

/** The only error that leaves this package. Look at `code` (closed) and `ambiguous`, never at the text. */
export class StoreError extends Error {
  readonly code: StoreCode;
  /** A write was sent and its outcome is unknown: it may have happened or may still happen. */
  readonly ambiguous: boolean;

  constructor(
    code: StoreCode,
    message: string,
    options: { readonly ambiguous?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StoreError';
    this.code = code;
    this.ambiguous = options.ambiguous ?? false;
  }

  /** The one place where foreign errors are looked at. `write`: an unanswered call may have changed something. */
  static from(error: unknown, { write = false }: { readonly write?: boolean } = {}): StoreError {
    if (error instanceof StoreError) return error;
    const status = (error as { readonly code?: unknown } | undefined)?.code;
    const code = (typeof status === 'number' ? codeOf[status] : undefined) ?? 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    const unanswered = code === 'UNAVAILABLE' || code === 'DEADLINE' || code === 'INTERNAL';
    return new StoreError(code, `etcd: ${message}`, { ambiguous: write && unanswered, cause: error });
  }
}
