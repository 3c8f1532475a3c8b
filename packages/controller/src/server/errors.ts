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

export const toStatus = (error: MegrezError): CallStatus => {
  const metadata = new Metadata();
  const { reason, object, hosts } = error;
  metadata.set(error_key, Buffer.from(ErrorDetail.toBinary({ reason, object, hosts: [...hosts] })));
  return { code: codes[error.code] ?? status.UNKNOWN, details: error.message, metadata };
};
