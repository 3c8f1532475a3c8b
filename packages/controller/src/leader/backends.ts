import { addressHex, type Endpoint, parseAddress, type Service } from '@megrez/model';
import { slotOf } from '@megrez/ring';
import { type Entry, keys, prefixes } from '@megrez/store';
import type { Context } from '../context';
import type { ShardOptions } from '../options';
import { isAttached } from '../relay/attachment';
import { pages } from '../relay/read';
import { bucketsOf, replacement } from '../services';
import type { Term } from './election';
import { watchHealth } from './health';

const look_ms = 1_000;
/** What is on a detached host changes rarely, and may be much. */
const read_ms = 10_000;

type Index = Pick<Service, 'vni' | 'subnetNumber' | 'name'>;

const idOf = ({ vni, subnetNumber, name }: Index): string => `${vni}/${subnetNumber}/${name}`;

/**
 * Backends whose host is dead get no new flows until it is back, or they are elsewhere. Hosts are judged as for their
 * slots, but by themselves: most of them hold none.
 */
export const keepBackends = (
  context: Context,
  term: Term,
  options: Pick<ShardOptions, 'dead_ms' | 'unheard_ms'>,
): { run(now_ms: number): void } => {
  const { mirror, store, log } = context;
  /** Detached hosts, and the services with backends on them. */
  const detached = new Map<string, { readonly services: readonly Index[]; readonly read_at_ms: number }>();
  /** Services with a backend that is down. */
  let down: Map<string, Index> | undefined;
  const health = watchHealth(context, options, {
    concerned: () => new Set([...detached].filter(([, { services }]) => services.length > 0).map(([host]) => host)),
    consequence: 'its backends get no new flows',
  });

  const look = async (now_ms: number): Promise<void> => {
    down ??= await findDown(context);
    for (const host of detached.keys()) if (isAttached(context, host)) detached.delete(host);
    for (const host of mirror.hosts.keys()) {
      if (isAttached(context, host) || now_ms - (detached.get(host)?.read_at_ms ?? -read_ms) < read_ms) continue;
      detached.set(host, { services: await servicesOn(context, host), read_at_ms: now_ms });
    }
    await health.observe(now_ms);
    const services = new Map(down);
    for (const host of health.dead) for (const one of detached.get(host)?.services ?? []) services.set(idOf(one), one);
    for (const [id, service] of services) {
      if (term.over.aborted) return;
      if (await reconsider(service)) down.set(id, service);
      else down.delete(id);
    }
  };

  /** Has the service a backend that is down? */
  const reconsider = async ({ vni, subnetNumber, name }: Index): Promise<boolean> => {
    const entry = await store.get(keys.service(vni, subnetNumber, name));
    if (entry === undefined) return false;
    const { value } = entry;
    const endpoints = await store.getMany(
      value.backends.map(({ subnetNumber: subnet, ip }) => {
        const address = parseAddress(ip);
        return keys.endpoint(vni, subnet, slotOf(vni, address), addressHex(address));
      }),
    );
    const backends = value.backends.map((one, i) => ({ ...one, down: isDown(one.down, endpoints[i]) }));
    if (backends.some((one, i) => one.down !== value.backends[i]?.down)) {
      const after = { ...value, backends, buckets: bucketsOf(backends, value.buckets) };
      const { compares, operations } = replacement(entry, after, []);
      const result = await term.write(compares, operations);
      if (!result.succeeded) return true;
      log.info({ service: `${value.vpc}/${value.subnet}/${name}` }, 'backends go down or come back with their hosts');
    }
    return backends.some((one) => one.down);
  };

  const isDown = (before: boolean, endpoint: Entry<Endpoint> | undefined): boolean => {
    const host = endpoint?.value.host ?? '';
    // Nobody has judged a host that was detached when this term began.
    return health.dead.has(host) || (before && mirror.hosts.has(host) && !isAttached(context, host));
  };

  let next_ms = 0;
  let running = false;
  return {
    run: (now_ms) => {
      if (running || now_ms < next_ms) return;
      running = true;
      look(now_ms)
        .catch((error: unknown) => log.warn({ err: error }, 'backends stay as they are for now'))
        .finally(() => {
          running = false;
          next_ms = performance.now() + look_ms;
        });
    },
  };
};

const findDown = async ({ store }: Context): Promise<Map<string, Index>> => {
  const found = new Map<string, Index>();
  const first = await store.range(prefixes.services(), { limit: 1_000 });
  for await (const entries of pages(store, prefixes.services(), first.revision, first)) {
    for (const { value } of entries) if (value.backends.some(({ down }) => down)) found.set(idOf(value), value);
  }
  return found;
};

/** Services that have endpoints of a host as backends. */
const servicesOn = async ({ store }: Context, host: string): Promise<readonly Index[]> => {
  const addresses = new Map<number, Set<string>>();
  const first = await store.range(prefixes.byHost(host), { limit: 5_000 });
  for await (const entries of pages(store, prefixes.byHost(host), first.revision, first)) {
    for (const { value } of entries) {
      const known = addresses.get(value.vni) ?? new Set();
      addresses.set(value.vni, known);
      for (const ip of [value.ip, value.ip6])
        if (ip !== '') known.add(`${value.subnetNumber}/${addressHex(parseAddress(ip))}`);
    }
  }
  const services = new Map<string, Index>();
  for (const [vni, known] of addresses) {
    const prefix = prefixes.backends(vni);
    const page = await store.range(prefix, { limit: 5_000 });
    for await (const entries of pages(store, prefix, page.revision, page)) {
      for (const { path, value } of entries) {
        const [subnet, ip] = path.slice(prefix.path.length).split('/');
        if (known.has(`${subnet}/${ip}`)) services.set(idOf(value), value);
      }
    }
  }
  return [...services.values()];
};
