import type { Server, UntypedHandleCall } from '@grpc/grpc-js';
import {
  lookupServiceDefinition,
  MegrezError,
  nodeServiceDefinition,
  provisioningServiceDefinition,
  relayServiceDefinition,
  shardServiceDefinition,
} from '@megrez/model';
import type { Context } from '../context';
import { deleteEndpoint, getEndpoint, listEndpoints } from '../provisioning/endpoint';
import { batchCreateEndpoints, createEndpoint } from '../provisioning/endpoint-create';
import { deleteHost, getHost, listHosts, updateHost } from '../provisioning/host';
import { resolve } from '../provisioning/resolve';
import { getStatus } from '../provisioning/status';
import { createSubnet, getSubnet, listSubnets } from '../provisioning/subnet';
import { deleteSubnet } from '../provisioning/subnet-delete';
import { createVpc, deleteVpc, getVpc, listVpcs } from '../provisioning/vpc';
import type { Watchers } from '../provisioning/watch';
import type { Relay } from '../relay/relay';
import { relayHandlers } from '../relay/serve-relay';
import { serveSession } from '../relay/serve-session';
import { toStatus } from './errors';
import { type Handler, unary } from './rpc';

const provisioning = {
  createVpc,
  getVpc,
  listVpcs,
  deleteVpc,
  createSubnet,
  getSubnet,
  listSubnets,
  deleteSubnet,
  createEndpoint,
  batchCreateEndpoints,
  getEndpoint,
  listEndpoints,
  deleteEndpoint,
  getHost,
  listHosts,
  updateHost,
  deleteHost,
  getStatus,
};

export const addServices = (server: Server, context: Context, relay: Relay, watchers: Watchers): void => {
  add(server, context, provisioningServiceDefinition, provisioning, { watch: watchers.serve });
  add(server, context, lookupServiceDefinition, { resolve });
  add(server, context, shardServiceDefinition, {});
  add(server, context, relayServiceDefinition, relayHandlers);
  server.addService(nodeServiceDefinition, { session: serveSession(context, relay) });
};

type Handlers = Readonly<Record<string, Handler<never, unknown>>>;

/** Methods without a handler say so in words, also streaming ones. */
const add = (
  server: Server,
  context: Context,
  definition: object,
  handlers: Handlers,
  streams: Readonly<Record<string, unknown>> = {},
): void => {
  const methods = Object.keys(definition).map((method): [string, UntypedHandleCall] => {
    const handler = handlers[method];
    if (handler !== undefined) return [method, unary(context, method, handler) as UntypedHandleCall];
    const stream = streams[method];
    return [method, stream === undefined ? unimplemented(method) : (stream as UntypedHandleCall)];
  });
  server.addService(definition as Parameters<Server['addService']>[0], Object.fromEntries(methods));
};

const unimplemented = (method: string): UntypedHandleCall => {
  const status = toStatus(
    new MegrezError({
      code: 'UNIMPLEMENTED',
      reason: 'NOT_YET',
      object: method,
      message: `this version of the controller does not have ${method} yet`,
    }),
  );
  return ((call: { emit(event: 'error', error: object): void }, callback?: (error: object) => void): void => {
    if (callback === undefined) call.emit('error', status);
    else callback(status);
  }) as unknown as UntypedHandleCall;
};
