import type { handleServerStreamingCall, Server, ServiceDefinition, UntypedHandleCall } from '@grpc/grpc-js';
import {
  lookupServiceDefinition,
  nodeServiceDefinition,
  provisioningServiceDefinition,
  relayServiceDefinition,
  shardServiceDefinition,
} from '@megrez/model';
import type { Context } from '../context';
import { deleteEndpoint, getEndpoint, listEndpoints } from '../provisioning/endpoint';
import { batchCreateEndpoints, createEndpoint } from '../provisioning/endpoint-create';
import { moveEndpoint } from '../provisioning/endpoint-move';
import { deleteHost, getHost, listHosts, updateHost } from '../provisioning/host';
import { resolve } from '../provisioning/resolve';
import { getStatus } from '../provisioning/status';
import { createSubnet, getSubnet, listSubnets, updateSubnet } from '../provisioning/subnet';
import { deleteSubnet } from '../provisioning/subnet-delete';
import { createVpc, deleteVpc, getVpc, listVpcs, updateVpc } from '../provisioning/vpc';
import type { Watchers } from '../provisioning/watch';
import type { Relay } from '../relay/relay';
import { relayHandlers } from '../relay/serve-relay';
import { serveSession } from '../relay/serve-session';
import { createService, deleteService, getService, listServices, updateService } from '../services';
import { shardHandlers, shardStreams } from '../shards/service';
import { type Handler, unary } from './rpc';

const provisioning = {
  createVpc,
  getVpc,
  listVpcs,
  updateVpc,
  deleteVpc,
  createSubnet,
  getSubnet,
  listSubnets,
  updateSubnet,
  deleteSubnet,
  createEndpoint,
  batchCreateEndpoints,
  getEndpoint,
  listEndpoints,
  deleteEndpoint,
  moveEndpoint,
  createService,
  getService,
  listServices,
  updateService,
  deleteService,
  getHost,
  listHosts,
  updateHost,
  deleteHost,
  getStatus,
};

export const addServices = (server: Server, context: Context, relay: Relay, watchers: Watchers): void => {
  add(server, context, provisioningServiceDefinition, provisioning, { watch: watchers.serve });
  add(server, context, lookupServiceDefinition, { resolve });
  add(server, context, shardServiceDefinition, shardHandlers, shardStreams(context));
  add(server, context, relayServiceDefinition, relayHandlers);
  server.addService(nodeServiceDefinition, { session: serveSession(context, relay) });
};

type Handlers = Readonly<Record<string, Handler<never, unknown>>>;
type Streams = Readonly<Record<string, handleServerStreamingCall<never, never>>>;

/** @throws RangeError for a method that nobody handles: a mistake of ours, found at every start */
const add = (
  server: Server,
  context: Context,
  definition: ServiceDefinition,
  handlers: Handlers,
  streams: Streams = {},
): void => {
  const methods = Object.entries(definition).map(([method, { responseStream }]): [string, UntypedHandleCall] => {
    if (responseStream) return [method, found(method, streams[method]) as UntypedHandleCall];
    return [method, unary<never, unknown>(context, method, found(method, handlers[method])) as UntypedHandleCall];
  });
  server.addService(definition, Object.fromEntries(methods));
};

const found = <T>(method: string, handler: T | undefined): T => {
  if (handler === undefined) throw new RangeError(`nothing handles ${method}`);
  return handler;
};
