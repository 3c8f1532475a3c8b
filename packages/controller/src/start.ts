import { randomUUID } from 'node:crypto';
import { Server } from '@grpc/grpc-js';
import { serveHttp } from '@megrez/health';
import { parseCidr } from '@megrez/model';
import { openStore } from '@megrez/store';
import { type Logger, pino } from 'pino';
import type { Context } from './context';
import { campaign } from './leader/election';
import { watchHealth } from './leader/health';
import { lead } from './leader/lead';
import { emptyMirror } from './mirror';
import { type Controller, type ControllerOptions, default_leases, default_shards } from './options';
import { announce } from './presence';
import { endpointWriter } from './provisioning/endpoint-writer';
import { sweepHeld } from './provisioning/held';
import { sweepMoves } from './provisioning/moves';
import { createWatchers } from './provisioning/watch';
import { openPeers } from './relay/peers';
import { startRelay } from './relay/relay';
import { addHealth } from './server/health';
import { listenAll } from './server/listen';
import { createMetrics, exposeStore } from './server/metrics';
import { addReflection } from './server/reflection';
import { addServices } from './server/services';
import { applyToShardState, emptyShardState } from './shards/state';
import { type Closing, closing } from './support/closing';
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
  const log = pino({ level: options.log ?? 'info', base: { service: 'controller' } });
  const parts = closing((error, what) => log.warn({ err: error }, `${what} was not closed in order`));
  try {
    const controller = await start(options, log, parts);
    return { ...controller, close: parts.close };
  } catch (error) {
    await parts.close();
    throw error;
  }
};

const start = async (
  options: ControllerOptions,
  log: Logger,
  parts: Closing,
): Promise<Pick<Controller, 'addresses' | 'metrics'>> => {
  const context = await openContext(options, log, parts);
  const { store, mirror, metrics, incarnation, version } = context;
  const relay = startRelay(context);
  parts.add('relay', () => relay.close());
  const watchers = createWatchers(log);
  const watch = await store.watch((batch) => {
    watchers.onBatch(mirror, batch);
    applyToShardState(context.shards, batch);
    relay.onBatch(batch);
    metrics.watchBatches.inc();
    metrics.watchRevision.set(batch.revision);
  });
  parts.add('watch', () => watch.close());
  exposeStore(metrics, store, () => watch.silent_ms);

  const server = new Server({
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    // Books about every call that nobody reads.
    'grpc.enable_channelz': 0,
  });
  addServices(server, context, relay, watchers);
  addReflection(server);
  const health = addHealth(server);
  parts.add('server', () => shutdown(server));
  const addresses = await listenAll(server, options.listen);
  let metricsAddress: string | undefined;
  if (options.metrics !== undefined) {
    const http = await serveHttp(options.metrics, metrics.registry, () =>
      watch.silent_ms > silent_limit_ms ? `the watch on etcd has been silent for ${watch.silent_ms} ms` : undefined,
    );
    parts.add('metrics', () => http.close());
    metricsAddress = http.address;
  }
  const relayAddress = options.relayAddress ?? addresses[0] ?? '';
  if (/^(0\.0\.0\.0|\[::\]|unix)/.test(relayAddress)) {
    log.warn({ relayAddress }, 'controllers on other machines cannot reach this address: set the relay address');
  }
  const presence = await announce(store, log, {
    incarnation,
    address: relayAddress,
    onUnknown: () => relay.endSessions("etcd is out of this controller's reach"),
  });
  while (mirror.revision < presence.revision) await mirror.changed.next(1_000);
  const shards = { ...default_shards, ...options.shards };
  const leader = campaign(context, (term) => lead(context, term, watchHealth(context, shards), shards));
  const sweeps = [sweepHeld(context), sweepMoves(context)];
  // First of all when it closes: others see it go, its agents leave for another controller, its callers are told.
  parts.add('presence', async () => {
    log.info('controller stops');
    health.close();
    watchers.close();
    for (const sweep of sweeps) sweep.stop();
    await leader.close();
    await presence.close();
    await relay.close();
  });
  log.info({ addresses, incarnation, version }, 'controller started');
  return { addresses, metrics: metricsAddress };
};

const openContext = async (options: ControllerOptions, log: Logger, parts: Closing): Promise<Context> => {
  const leases = options.leases ?? default_leases;
  const store = await openStore({
    endpoints: options.etcd.map((endpoint) => (endpoint.includes('://') ? endpoint : `http://${endpoint}`)),
    log: (message, fields) => log.warn({ ...fields }, message),
  });
  parts.add('store', () => store.close());
  const peers = openPeers();
  parts.add('peers', async () => peers.close());
  const context: Context = {
    store,
    mirror: emptyMirror(),
    shards: emptyShardState(),
    incarnation: randomUUID(),
    sessions: new Map(),
    peers,
    leases,
    underlayPrefixes: options.underlayPrefixes,
    log,
    metrics: createMetrics(),
    version: options.version ?? '',
    recent: recentAddresses(2 * leases.hard_lease_ms),
    writeEndpoint: endpointWriter(() => context),
    closing: parts.signal,
  };
  return context;
};

const grace_ms = 500;

/** Calls under way may end; not for ever. */
const shutdown = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), grace_ms);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
