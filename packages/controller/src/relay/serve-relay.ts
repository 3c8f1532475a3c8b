import {
  type AskMappingRequest,
  type BouncerAnswer,
  type GetHostStatusRequest,
  type GetHostStatusResponse,
  Host,
  type ListTableUsersRequest,
  type ListTableUsersResponse,
  MegrezError,
  objectName,
  type WaitAppliedRequest,
  type WaitAppliedResponse,
} from '@megrez/model';
import type { Context } from '../context';
import { localStatus } from '../provisioning/host-status';
import { askHere } from '../provisioning/resolve';
import type { Call } from '../server/rpc';
import { waitLocal } from './readiness';
import { SessionEnded } from './session-ended';
import { listTableUsers } from './wait-table';

const elsewhere = (host: string): MegrezError =>
  new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'HOST_ELSEWHERE',
    object: objectName.host(host),
    message: `host ${host} has no session at this relay`,
  });

const waitApplied = async (context: Context, request: WaitAppliedRequest, call: Call): Promise<WaitAppliedResponse> => {
  if (request.relay !== context.incarnation) throw elsewhere(request.host);
  try {
    return { failures: [...(await waitLocal(context, request.host, request.revision, call.deadline_ms))] };
  } catch (error) {
    if (error instanceof SessionEnded) throw elsewhere(request.host);
    throw error;
  }
};

const answerTableUsers = async (
  context: Context,
  request: ListTableUsersRequest,
  call: Call,
): Promise<ListTableUsersResponse> => {
  if (request.relay !== context.incarnation) throw elsewhere(request.relay);
  try {
    return await listTableUsers(context, request, call.deadline_ms);
  } catch (error) {
    if (error instanceof SessionEnded) throw elsewhere(request.relay);
    throw error;
  }
};

const getHostStatus = (context: Context, { hosts }: GetHostStatusRequest): GetHostStatusResponse => ({
  hosts: hosts.flatMap((name) => {
    const status = localStatus(context, name);
    return status === undefined ? [] : [Host.create({ name, status })];
  }),
});

const askMapping = async (context: Context, { host, vni, ip }: AskMappingRequest): Promise<BouncerAnswer> => {
  try {
    return await askHere(context, host, vni, ip);
  } catch (error) {
    if (error instanceof SessionEnded) throw elsewhere(host);
    throw error;
  }
};

/** Controller to controller. */
export const relayHandlers = { waitApplied, listTableUsers: answerTableUsers, getHostStatus, askMapping };
