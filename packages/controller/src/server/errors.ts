import { Metadata, status } from '@grpc/grpc-js';
import { codes, ErrorDetail, MegrezError } from '@megrez/model';
import { StoreError } from '@megrez/store';
import type { Logger } from 'pino';

/** Trailing metadata that carries an ErrorDetail. */
export const error_key = 'megrez-error-bin';

/** What grpc-js sends as a call's status. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** The only normaliser: every error becomes a MegrezError; what nobody foresaw is logged with its stack. */
export const toMegrezError = (error: unknown, log: Logger): MegrezError => {
  if (error instanceof MegrezError) return error;
  if (error instanceof StoreError && unreachable.has(error.code)) {
    log.warn({ err: error }, 'etcd cannot be reached');
    return new MegrezError({
      code: 'UNAVAILABLE',
      reason: 'STORE_UNAVAILABLE',
      object: 'etcd',
      message: error.ambiguous
        ? 'etcd did not answer, so it is unknown whether this was stored; try again with the same request id'
        : 'etcd cannot be reached; try again',
    });
  }
  log.error({ err: error }, 'internal error');
  return new MegrezError({
    code: 'INTERNAL',
    reason: 'INTERNAL',
    object: 'controller',
    message: 'internal error; the controller has logged it',
  });
};

const unreachable: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE', 'CLOSED']);

/** Characters of a message or object's name, and hosts: what is sent as headers, and callers take 8 KiB of those. */
const most = { message: 1_000, object: 300, hosts: 50 } as const;

/** Cut to what headers may hold: a longer one would end the whole connection, with everybody's calls on it. */
export const toStatus = (error: MegrezError): CallStatus => {
  const metadata = new Metadata();
  const { reason, hosts } = error;
  const detail = { reason, object: cut(error.object, most.object), hosts: hosts.slice(0, most.hosts) };
  metadata.set(error_key, Buffer.from(ErrorDetail.toBinary(detail)));
  return { code: codes[error.code] ?? status.UNKNOWN, details: cut(error.message, most.message), metadata };
};

const cut = (text: string, length: number): string => {
  if (text.length <= length) return text;
  const half = length / 2;
  return `${text.slice(0, half).toWellFormed()} … ${text.slice(-half).toWellFormed()}`;
};
