import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { encapsulationMax, type MapName, maps } from '@megrez/abi';
import { serveHttp } from '@megrez/health';
import { getLink, noteExpediting } from '@megrez/kernel';
import {
  formatAddress,
  formatMac,
  Hello,
  type MappingAnswer,
  type MappingQuery,
  MegrezError,
  parseAddress,
} from '@megrez/model';
import { defaultTimes, endpointId, type HostSettings, planConfig, rowKey, vpcKeys } from '@megrez/plan';
import { pino } from 'pino';
import { type Datapath, openDatapath } from './datapath';
import { collectFlows } from './flows';
import { openBouncer } from './hook';
import { openInterfaces } from './interfaces';
import { requireKernel } from './kernel-version';
import { startLoop } from './loop';
import { giveBack } from './memory';
import { openMetrics } from './metrics';
import { openNamespaces } from './namespaces';
import { openNextHops } from './next-hops';
import { observe } from './observe';
import { onlinkPrefix } from './onlink';
import type { Agent, AgentOptions } from './options';
import { openReconciler } from './reconcile';
import { reporter } from './report';
import { followRoutes } from './routes';
import { openRows, type Rows } from './rows';
import { incarnation, keepSession } from './session';
import { prune, removeStale } from './snapshot';
import { openTombstones } from './tombstones';
import { ensureTunnel } from './tunnel';

/** How often tombstones whose time is over are removed. */
const sweep_ms = 1_000;
/** How often interfaces are counted, failed endpoints tried again, and flows collected. */
const audit_ms = 5_000;
/** How often the report looks at what the datapath found. */
const observe_ms = 1_000;
const problems_max = 20;

/**
 * Runs a host's agent: keeps the kernel equal to what the controllers say. The datapath works on when it stops.
 * @throws MegrezError KERNEL_TOO_OLD, NIC_MISSING, OBJECT_MISSING, INVALID_ADDRESS; KernelError when the programs cannot be loaded
 */
export const startAgent = async (options: AgentOptions): Promise<Agent> => {
  const log = pino({
    level: options.log ?? 'info',
    base: { host: options.host },
    serializers: { error: pino.stdSerializers.err },
  });
  requireKernel(options.host, release());
  const address = parseAddress(options.address);
  const nic = await getLink({ name: options.nic });
  if (nic === undefined) {
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'NIC_MISSING',
      object: `host ${options.host}`,
      message: `this host has no interface ${options.nic}: name the underlay's with --nic`,
    });
  }
  const underlay_mtu = options.mtu ?? nic.mtu;
  const endpoint_mtu = underlay_mtu - encapsulationMax;
  mkdirSync(options.state, { recursive: true });
  if (noteExpediting(join(options.state, 'rcu-expedited'))) log.info('RCU is no longer expedited by a killed agent');

  const datapath = await openDatapath({ bpffs: options.bpffs, object: options.object, nic: nic.ifindex }, log);
  await ensureTunnel(datapath);
  const rows = openRows(datapath.map);
  for (const name of Object.keys(maps) as MapName[]) if (!maps[name].type.endsWith('array')) await rows.recount(name);
  let settings = writeConfig(rows, datapath, {
    address,
    nic: nic.ifindex,
    onlink: await onlinkPrefix(nic, formatAddress(address)),
  });

  const namespaces = openNamespaces(options.state);
  const interfaces = openInterfaces(datapath, namespaces, endpoint_mtu);
  const nextHops = openNextHops(rows, log);
  const tombstones = await openTombstones(rows, log);
  tombstones.sweep();
  const bouncer = await openBouncer(datapath, nic, options.nicHook ?? 'auto', log);
  const self = formatAddress(address);
  const found = (await rows.entries('endpoints')).map(({ key }) => {
    const { vni, ip } = maps.endpoints.key.decode(key);
    return endpointId(vni, ip);
  });
  const reconciler = openReconciler({ host: options.host, self, rows, interfaces, nextHops, tombstones, found }, log);
  const { known } = reconciler;
  for (const [id, facts] of (await interfaces.list()).whole) known.interfaces.set(id, facts);

  const problems = (): readonly string[] =>
    [
      ...(bouncer.problem === undefined ? [] : [bouncer.problem]),
      ...nextHops
        .unresolved()
        .map((host) => `no link address for bouncer host ${host}: check the underlay between ${self} and it`),
      ...[...reconciler.failed.values()].map(({ ip, message }) => `endpoint ${ip} is not served: ${message}`),
    ].slice(0, problems_max);
  const observations = observe(rows, datapath);
  const report = reporter({
    nic: options.nic,
    underlay_mtu,
    endpoint_mtu,
    hook: () => bouncer.hook,
    mappings: () => rows.count('mappings'),
    endpoints: () => known.endpoints.size,
    lookups_per_s: () => observations.lookups_per_s,
    silentHosts: () => observations.silentHosts,
    problems,
  });
  const metrics = openMetrics({
    datapath,
    rows,
    known,
    attached: () => loop.complete,
    hook: () => bouncer.hook,
    problems,
  });
  const loop = startLoop(
    {
      settings: () => settings,
      rows,
      reconciler,
      nextHops,
      bouncer,
      storeId: storeIdFile(options.state),
      removeStale: (marks) =>
        removeStale({ known, marks, isMarked: reconciler.isMarked, rows, interfaces, tombstones }, log),
      prune: (marks, underlayPrefixes) =>
        prune({ known, marks, rows, interfaces, namespaces, tombstones, datapath, underlayPrefixes }, log),
      applied: metrics.applied,
    },
    log,
  );

  const sessions = keepSession(
    options.servers,
    {
      hello: () =>
        Hello.create({
          host: options.host,
          address: self,
          incarnation,
          storeId: storeIdFile(options.state).read(),
          appliedRevision: loop.revision,
          report: report.current(),
          weight: options.weight ?? 0,
          zone: options.zone ?? '',
        }),
      onWelcome: (session, welcome) => {
        metrics.sessionOpened();
        loop.welcome(session, welcome);
      },
      onBatch: loop.batch,
      onPong: loop.pong,
      onQuery: (query) => answer(rows, query),
      onEnd: () => undefined,
      changedReport: report.changed,
      counted: metrics.message,
    },
    log,
  );

  const audit = async (): Promise<void> => {
    if (!loop.complete || loop.busy) return;
    const { whole } = await interfaces.list();
    // What the loop made meanwhile is not in the list.
    if (loop.busy) return;
    const lost = [...known.interfaces]
      .filter(([id, { ifindex }]) => whole.get(id)?.ifindex !== ifindex)
      .map(([id]) => id);
    if (lost.length > 0) log.warn({ lost }, 'interfaces vanished; they are made again');
    loop.markAgain([...lost, ...reconciler.failed.keys()]);
  };
  const followed = followRoutes(() => {
    nextHops.lookAgain();
    onlinkPrefix(nic, self)
      .then((onlink) => {
        settings = writeConfig(rows, datapath, { address, nic: nic.ifindex, onlink });
      })
      .catch((error: unknown) => log.warn({ error }, 'routes could not be read'));
  });

  const sweep = (): void => {
    for (const vni of tombstones.sweep()) {
      // Its VPC went while the tombstones were still needed.
      if (loop.complete && !known.vpcs.has(vni)) for (const key of vpcKeys(vni)) rows.remove(key);
    }
  };
  const sweeper = setInterval(sweep, sweep_ms);
  const timer = setInterval(() => {
    collectFlows(datapath).catch((error: unknown) => log.warn({ error }, 'flows could not be collected'));
    audit().catch((error: unknown) => log.warn({ error }, 'audit failed'));
  }, audit_ms);

  const observer = setInterval(() => {
    observations.look().catch((error: unknown) => log.warn({ error }, 'the datapath’s findings could not be read'));
  }, observe_ms);

  const unready = (): string | undefined =>
    loop.complete ? undefined : 'no controller has sent this host its rows yet';
  const http = options.metrics === undefined ? undefined : await serveHttp(options.metrics, metrics.registry, unready);
  giveBack();
  log.info({ address: self, nic: options.nic, endpoint_mtu, metrics: http?.address }, 'agent started');
  return {
    metrics: http?.address,
    close: async () => {
      clearInterval(timer);
      clearInterval(sweeper);
      clearInterval(observer);
      await sessions.close();
      await loop.close();
      followed.close();
      nextHops.close();
      await http?.close();
      datapath.object.close();
    },
  };
};

/** The host's own row. What is there already keeps its secret, and its leases until a controller says others. */
const writeConfig = (
  rows: Rows,
  datapath: Datapath,
  own: Pick<HostSettings, 'address' | 'nic' | 'onlink'>,
): HostSettings => {
  const current = datapath.map('config').lookup(maps.config.key.encode(0));
  const before = current === undefined ? undefined : maps.config.value.decode(current);
  const known = before?.secret.some((byte) => byte !== 0) ? before : undefined;
  const settings: HostSettings = { ...own, secret: known?.secret ?? randomBytes(16), ...defaultTimes };
  const ms = (ns: bigint | undefined): number => Number((ns ?? 0n) / 1_000_000n);
  const leases = {
    softLeaseMs: ms(known?.soft_lease_ns),
    hardLeaseMs: ms(known?.hard_lease_ns),
    checkMs: ms(known?.check_ns),
  };
  for (const row of planConfig(settings, leases)) rows.put(row);
  return settings;
};

/** The id of the store whose rows the kernel holds. */
const storeIdFile = (state: string): { read(): string; write(id: string): void } => {
  const path = join(state, 'store-id');
  return {
    read: () => {
      try {
        return readFileSync(path, 'utf8').trim();
      } catch {
        return '';
      }
    },
    write: (id) => {
      writeFileSync(`${path}.new`, `${id}\n`);
      renameSync(`${path}.new`, path);
    },
  };
};

/** What this host's bouncer would answer. */
const answer = (rows: Rows, { id, vni, ip }: MappingQuery): MappingAnswer => {
  const nothing = { id, found: false, hostAddress: '', mac: '', generation: 0 };
  try {
    const value = rows.lookup(rowKey('mappings', { vni, ip: parseAddress(ip) }));
    if (value === undefined) return nothing;
    const { host, mac, generation } = maps.mappings.value.decode(value);
    return { id, found: true, hostAddress: formatAddress(host), mac: formatMac(mac), generation };
  } catch (error) {
    if (error instanceof MegrezError) return nothing;
    throw error;
  }
};
