import { randomUUID } from 'node:crypto';
import { Server } from '@grpc/grpc-js';
import { parseCidr } from '@megrez/model';
import { openStore } from '@megrez/store';
import { pino } from 'pino';
import type { Context } from './context';
import { emptyMirror } from './mirror';
import { type Controller, type ControllerOptions, default_leases } from './options';
import { announce } from './presence';
import { endpointWriter } from './provisioning/endpoint-writer';
import { sweepHeld } from './provisioning/held';
import { openPeers } from './relay/peers';
import { startRelay } from './relay/relay';
import { addHealth } from './server/health';
import { serveHttp } from './server/http';
import { listenAll } from './server/listen';
import { createMetrics, exposeStore } from './server/metrics';
import { addReflection } from './server/reflection';
import { addServices } from './server/services';
import { recentAddresses } from './support/recent';

/** A watch that has been silent for longer cannot be trusted to be up to date. */
const silent_limit_ms = 15_000;

/**
 * Starts one controller: the API, the relay of the agents that connect here, and its part among other controllers.
 * Ready when it resolves: the mirror holds the whole store and every address is bound.
 * @throws StoreError UNAVAILABLE when etcd cannot be reached, MegrezError for a malformed underlay prefix
 */
export const startController = async (options: ControllerOptions): Promise<Controller> => {
  for (const cidr of options.underlayPrefixes) parseCidr(cidr);
  const leases = options.leases ?? default_leases;
  const log = pino({ level: options.log ?? 'info', base: { service: 'controller' } });
  const metrics = createMetrics();
  const closing = new AbortController();
  const store = await openStore({
    endpoints: options.etcd.map((endpoint) => (endpoint.includes('://') ? endpoint : `http://${endpoint}`)),
    log: (message, fields) => log.warn({ ...fields }, message),
  });
  const context: Context = {
    store,
    mirror: emptyMirror(),
    incarnation: randomUUID(),
    sessions: new Map(),
    peers: openPeers(),
    leases,
    underlayPrefixes: options.underlayPrefixes,
    log,
    metrics,
    version: options.version ?? '',
    recent: recentAddresses(2 * leases.hard_lease_ms),
    writeEndpoint: endpointWriter(() => context),
    closing: closing.signal,
  };
  const relay = startRelay(context);
  const watch = await store.watch((batch) => {
    relay.onBatch(batch);
    metrics.watchBatches.inc();
    metrics.watchRevision.set(batch.revision);
  });
  exposeStore(metrics, store, () => watch.silent_ms);
  const server = new Server({
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
  });
  addServices(server, context, relay);
  addReflection(server);
  const health = addHealth(server);
  const addresses = await listenAll(server, options.listen);
  const presence = await announce(store, log, context.incarnation, options.relayAddress ?? addresses[0] ?? '');
  while (context.mirror.revision < presence.revision) await context.mirror.changed.next(1_000);
  const unready = (): string | undefined =>
    watch.silent_ms > silent_limit_ms ? `the watch on etcd has been silent for ${watch.silent_ms} ms` : undefined;
  const http = options.metrics === undefined ? undefined : await serveHttp(options.metrics, metrics, unready);
  const sweep = sweepHeld(context);
  log.info({ addresses, incarnation: context.incarnation, version: context.version }, 'controller started');

  const close = async (): Promise<void> => {
    if (closing.signal.aborted) return;
    closing.abort();
    health.close();
    sweep.stop();
    await presence
      .close()
      .catch((error: unknown) => log.warn({ err: error }, 'the relay key stays until its lease ends'));
    await relay.close();
    await shutdown(server);
    context.peers.close();
    await watch.close();
    await http?.close();
    await store.close();
    log.info('controller stopped');
  };
  return { addresses, metrics: http?.address, close };
};

const grace_ms = 2_000;

/** Calls under way may end; not for ever. */
const shutdown = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), grace_ms);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
