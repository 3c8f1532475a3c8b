import { type Server, type ServerWritableStream, status } from '@grpc/grpc-js';
import { describedFiles } from '../gen/descriptors';
import {
  type HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
} from '../gen/grpc/health/v1/health';
import { healthDefinition, type IHealth } from '../gen/grpc/health/v1/health.grpc-server';

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/**
 * The standard health service: the whole server ('') and each of its services serve until the controller goes away.
 */
export const addHealth = (server: Server): { close(): void } => {
  let current = Serving.SERVING;
  const services = ['', ...describedFiles.flatMap((file) => file.services)];
  const statusOf = (service: string): HealthCheckResponse | undefined =>
    services.includes(service) ? HealthCheckResponse.create({ status: current }) : undefined;
  const watchers = new Set<Watcher>();
  const tell = (watcher: Watcher): void => {
    watcher.write(statusOf(watcher.request.service) ?? { status: Serving.SERVICE_UNKNOWN });
  };
  const handlers: IHealth = {
    check: (call, callback) => {
      const answer = statusOf(call.request.service);
      if (answer === undefined) callback({ code: status.NOT_FOUND, details: `no service ${call.request.service}` });
      else callback(null, answer);
    },
    list: (_, callback) => {
      const statuses = services.map((service) => [service, { status: current }] as const);
      callback(null, { statuses: Object.fromEntries(statuses) });
    },
    watch: (call) => {
      watchers.add(call);
      call.on('cancelled', () => watchers.delete(call));
      tell(call);
    },
  };
  server.addService(healthDefinition, handlers);
  return {
    close: () => {
      current = Serving.NOT_SERVING;
      for (const watcher of watchers) {
        tell(watcher);
        watcher.end();
      }
    },
  };
};
