/** Canonical gRPC codes this project answers with; the numbers are gRPC's. */
export const codes = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

export type Code = keyof typeof codes;

export interface ErrorFields {
  readonly code: Code;
  /** Machine-readable, upper snake case, e.g. ADDRESS_IN_USE. */
  readonly reason: string;
  /** The object the error is about, e.g. `endpoint acme/web/a`. */
  readonly object: string;
  /** One sentence for a person: what is wrong and, where it helps, what to do. */
  readonly message: string;
  readonly hosts?: readonly string[];
}

/** The one error class that crosses an interface: a closed code, a reason, and the object's name. */
export class MegrezError extends Error {
  readonly code: Code;
  readonly reason: string;
  readonly object: string;
  readonly hosts: readonly string[];

  constructor({ code, reason, object, message, hosts = [] }: ErrorFields) {
    super(message);
    this.name = 'MegrezError';
    this.code = code;
    this.reason = reason;
    this.object = object;
    this.hosts = hosts;
  }
}
