import { type Code, codes, ErrorDetail, MegrezError } from '@megrez/model';
import { RpcError } from '@protobuf-ts/runtime-rpc';

/** Trailing metadata in which a controller sends an ErrorDetail. */
export const errorTrailer = 'megrez-error-bin';

/**
 * Whatever a call failed with -> MegrezError: with the controller's own reason and object when it sent them, else with
 * a reason of the transport (UNREACHABLE, NO_ANSWER, ...) and the controller's address as the object.
 */
export const toMegrezError = (error: unknown, server: string): MegrezError => {
  if (error instanceof MegrezError) return error;
  if (!(error instanceof RpcError)) {
    const message = error instanceof Error ? error.message : String(error);
    return new MegrezError({ code: 'INTERNAL', reason: 'CLIENT_FAILED', object: `controller ${server}`, message });
  }
  const detail = detailOf(error);
  const code: Code = error.code in codes ? (error.code as Code) : (nearest[error.code] ?? 'INTERNAL');
  if (detail !== undefined) return new MegrezError({ ...detail, code, message: error.message });
  return new MegrezError({ code, object: `controller ${server}`, ...transport(error, server) });
};

/** Codes that only gRPC itself or a proxy in between makes. */
const nearest: Readonly<Record<string, Code>> = {
  CANCELLED: 'ABORTED',
  OUT_OF_RANGE: 'INVALID_ARGUMENT',
  DATA_LOSS: 'UNAVAILABLE',
};

/** grpc-js ends its text with a heading that has nothing under it. */
const emptyNote = /\.? Resolution note: $/;

const transport = (error: RpcError, server: string): { readonly reason: string; readonly message: string } => {
  switch (error.code) {
    case 'UNAVAILABLE':
      return {
        reason: 'UNREACHABLE',
        message: `no controller answers at ${server}: ${error.message.replace(emptyNote, '')}`,
      };
    case 'DEADLINE_EXCEEDED':
      return { reason: 'NO_ANSWER', message: `the controller at ${server} did not answer in time` };
    case 'UNIMPLEMENTED':
      return { reason: 'UNIMPLEMENTED', message: `the controller at ${server} cannot do this: ${error.message}` };
    default:
      return { reason: error.code, message: error.message };
  }
};

const detailOf = (error: RpcError): ErrorDetail | undefined => {
  const value = error.meta[errorTrailer];
  const text = typeof value === 'string' ? value : value?.[0];
  if (text === undefined) return undefined;
  try {
    return ErrorDetail.fromBinary(Buffer.from(text, 'base64'));
  } catch {
    return undefined;
  }
};
