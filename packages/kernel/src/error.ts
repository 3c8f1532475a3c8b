/** What the addon knows of a refusal; the class below is handed to it once. */
export interface KernelErrorFields {
  readonly code: string;
  readonly operation: string;
  readonly object: string;
  readonly detail: string;
  readonly log?: string;
}

/**
 * The kernel (or libbpf) refused. `code` is the errno's name (`ENOENT`, `EPERM`, `EEXIST` …), `operation` what was
 * tried ("create veth"), `object` on what (a path, an interface's or a map's name). `log` is libbpf's output with the
 * verifier's, present when an object could not be loaded.
 */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  readonly code: string;
  readonly operation: string;
  readonly object: string;
  declare readonly log?: string;

  constructor(fields: KernelErrorFields) {
    super(`cannot ${fields.operation} ${fields.object || 'this host'}: ${fields.detail} (${fields.code})`);
    this.code = fields.code;
    this.operation = fields.operation;
    this.object = fields.object;
    if (fields.log !== undefined) this.log = fields.log;
  }
}
