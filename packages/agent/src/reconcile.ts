import { HoldingState, type MapName, maps } from '@megrez/abi';
import { type Address, addressHex, type Change, type Endpoint, type Failure, parseAddress } from '@megrez/model';
import {
  addressesOf,
  contextOf,
  emptyKnown,
  type Known,
  keysOf,
  mergeWork,
  note,
  portKeys,
  presenceOf,
  type Row,
  type RowKey,
  rowId,
  rowsOf,
  staysAsItIs,
  type Work,
} from '@megrez/plan';
import type { Logger } from 'pino';
import { answersSent } from './answers';
import { failureOf } from './failure';
import type { Interfaces } from './interfaces';
import type { NextHops } from './next-hops';
import type { Rows } from './rows';
import type { Tombstones } from './tombstones';

/** Maps whose rows may belong to another object by the time that one gives them up. */
const changing: ReadonlySet<MapName> = new Set<MapName>(['routes', 'services', 'service_ports', 'backends']);

/** Where a deleted endpoint is. */
const nowhere: Address = new Uint8Array(16);

/** Interfaces made at once: the kernel makes namespaces in parallel, but interfaces one after the other. */
const concurrent_interfaces = 4;

interface MarkedWork extends Work {
  /** Of the object itself; of a deleted one, of its deletion. */
  readonly generation: number;
}

/** Marks what needs work, and makes the kernel equal to it. */
export interface Reconciler {
  readonly known: Known;
  /** Remembers the changes of a batch and marks the objects they concern. */
  mark(changes: readonly Change[]): void;
  /** Marks an endpoint of this host again, e.g. because its interface failed or vanished. */
  markEndpoint(id: string): void;
  /** Is there something to do for the object of this id? */
  isMarked(id: string): boolean;
  /** Works off what is marked. Never throws for one object: its failure is returned. */
  apply(): Promise<readonly Failure[]>;
  /** Endpoints of this host that could not be applied, by endpointId. */
  readonly failed: ReadonlyMap<string, Failure>;
  /** Does this host hold a slot of any table? */
  readonly holdsSlots: boolean;
  /** Is it one of those? */
  isFailed(failure: Failure): boolean;
  /** While a snapshot comes in, slots are not called held: their rows wait until all mappings are there. */
  holdBack(): void;
  release(): void;
  /** Forgets all intent, for a store that starts its revisions anew. */
  forget(): void;
}

export const openReconciler = (
  fields: {
    readonly host: string;
    readonly rows: Rows;
    readonly interfaces: Interfaces;
    readonly nextHops: NextHops;
    readonly tombstones: Tombstones;
    readonly self: string;
    /** By endpointId: addresses of this host that an earlier agent left in the kernel. */
    readonly found: Iterable<string>;
  },
  log: Logger,
): Reconciler => {
  const { host, rows, interfaces, nextHops, tombstones, self } = fields;
  const known = emptyKnown();
  const found = new Set(fields.found);
  const dirty = new Map<string, MarkedWork>();
  const failed = new Map<string, Failure>();
  /** Generation with which an endpoint's interface was last found right. */
  const ensured = new Map<string, number>();
  let holdsSlots = false;
  let late: Map<string, Row> | undefined;

  const followTables = (): void => {
    holdsSlots = [...known.tables.values()].some(({ held }) => held.includes(1));
    const hosts = new Set([...known.tables.values()].flatMap(({ owners }) => owners));
    hosts.delete(self);
    nextHops.want(hosts);
  };

  /** Who finds the endpoint's packets here from now on passes them on: written before the endpoint's own row goes. */
  const bury = (work: MarkedWork, key: RowKey): void => {
    const { object } = work;
    if (object.oneofKind !== 'endpoint') return;
    const { ip } = maps.endpoints.key.decode(key.key);
    const own = known.endpoints.get(work.id)?.endpoint;
    // Its interface failed, but it did not leave.
    if (own !== undefined && addressesOf(own).some((one) => addressHex(one) === addressHex(ip))) return;
    const current = rows.lookup(key);
    if (current === undefined) return;
    // It was made anew since.
    if (work.deleted && !rows.forced && maps.endpoints.value.decode(current).generation > work.generation) return;
    const to = own === undefined ? movedTo(object.endpoint) : undefined;
    tombstones.bury(key, to ?? nowhere, work.generation);
  };

  const removeRow = (work: MarkedWork, key: RowKey): void => {
    if (key.map === 'endpoints') bury(work, key);
    // Tombstones are answered for VNIs that are known.
    if (key.map === 'networks' && tombstones.within(maps.networks.key.decode(key.key).vni)) return;
    rows.remove(key, work.deleted || changing.has(key.map) ? work.generation : undefined);
    late?.delete(rowId(key));
  };

  /** Does the row of `holdings` say more than the kernel's? */
  const holdsMore = (row: Row): boolean => {
    const current = rows.lookup(row);
    if (current === undefined) return true;
    const [before, wanted] = [current, row.value].map((value) => maps.holdings.value.decode(value).state);
    return before !== wanted && wanted === HoldingState.serving;
  };

  const putRow = (row: Row): void => {
    // A slot is held when its mappings are complete.
    if (late !== undefined && row.map === 'holdings' && holdsMore(row)) late.set(rowId(row), row);
    else rows.put(row);
    if (row.map === 'endpoints') tombstones.lift(row);
  };

  /** Everything of an endpoint but its interface: what is wanted is written, what it may have beside it goes. */
  const applyRows = (work: MarkedWork): void => applyRowsOf(work, known.interfaces.get(work.id)?.ifindex);

  const applyRowsOf = (work: MarkedWork, ifindex: number | undefined): void => {
    const wanted = rowsOf(known, host, work);
    const keep = new Set(wanted.map(rowId));
    for (const key of keysOf(work, ifindex)) {
      if (!keep.has(rowId(key))) removeRow(work, key);
    }
    for (const row of wanted) putRow(row);
  };

  const detachEndpoint = async (id: string): Promise<void> => {
    const facts = known.interfaces.get(id);
    ensured.delete(id);
    if (facts === undefined) return;
    known.interfaces.delete(id);
    for (const key of portKeys(facts.ifindex)) rows.remove(key);
    await interfaces.remove(facts);
  };

  const attachEndpoint = async (work: MarkedWork): Promise<void> => {
    const own = known.endpoints.get(work.id);
    if (own === undefined) return;
    if (own.endpoint.attachment?.kind.oneofKind === 'none' && !staysAsItIs(own.endpoint, host)) {
      applyRows(work);
      return detachEndpoint(work.id);
    }
    const generation = own.endpoint.meta?.generation ?? 0;
    if (ensured.get(work.id) === generation && known.interfaces.has(work.id)) return applyRows(work);
    const before = known.interfaces.get(work.id);
    if (staysAsItIs(own.endpoint, host)) {
      if (before !== undefined && (await interfaces.keep(own, before))) return applyRows(work);
      if (before !== undefined) dropFacts(work.id);
      // A host that an endpoint has left makes nothing for it any more.
      if (presenceOf(own.endpoint, host) === 'leaving') return applyRows(work);
    }
    const { subnet } = contextOf(known, host);
    await interfaces.ensure(own, subnet(own.endpoint.vni, own.endpoint.subnetNumber), before !== undefined, (facts) => {
      if (before !== undefined && before.ifindex !== facts.ifindex) {
        for (const key of portKeys(before.ifindex)) rows.remove(key);
      }
      known.interfaces.set(work.id, facts);
      applyRows(work);
    });
    ensured.set(work.id, generation);
  };

  /** Where else the endpoint is now, if it left for another host. */
  const movedTo = (endpoint: Endpoint): Address | undefined => {
    const { hostAddress } = endpoint;
    return hostAddress !== '' && hostAddress !== self ? parseAddress(hostAddress) : undefined;
  };

  const releaseEndpoint = async (work: MarkedWork, endpoint: Endpoint): Promise<void> => {
    // Its port stays for the answers to what came before the tombstone.
    const facts = known.interfaces.get(work.id);
    applyRowsOf(work, undefined);
    if (facts !== undefined && movedTo(endpoint) !== undefined) await answersSent(rows, facts.ifindex);
    await detachEndpoint(work.id);
  };

  const applyEndpoint = async (work: MarkedWork): Promise<Failure | undefined> => {
    const { object } = work;
    if (object.oneofKind !== 'endpoint') return undefined;
    const own = known.endpoints.get(work.id);
    try {
      if (own === undefined) await releaseEndpoint(work, object.endpoint);
      else await attachEndpoint(work);
      found.delete(work.id);
      failed.delete(work.id);
      return undefined;
    } catch (error) {
      const { vpc, subnet, name, vni, ip } = own?.endpoint ?? object.endpoint;
      log.error({ error, endpoint: `${vpc}/${subnet}/${name}`, vni, ip }, 'endpoint could not be applied');
      const failure = failureOf(error, work.generation, object.endpoint);
      if (own !== undefined) {
        failed.set(work.id, failure);
        // Its mapping stays true, but nobody is delivered to an interface that is not there.
        ensured.delete(work.id);
        if (!(await stillThere(work.id))) dropFacts(work.id);
      }
      return failure;
    }
  };

  const stillThere = async (id: string): Promise<boolean> => {
    const { whole } = await interfaces.list();
    return whole.get(id)?.ifindex === known.interfaces.get(id)?.ifindex && known.interfaces.has(id);
  };

  const dropFacts = (id: string): void => {
    const own = known.endpoints.get(id);
    const facts = known.interfaces.get(id);
    if (own === undefined) return;
    known.interfaces.delete(id);
    const work: Work = { id, object: { oneofKind: 'endpoint', endpoint: own.endpoint }, deleted: false };
    const keep = new Set(rowsOf(known, host, work).map(rowId));
    for (const key of keysOf(work, facts?.ifindex)) if (!keep.has(rowId(key))) rows.remove(key);
  };

  /** Mappings of other hosts' endpoints come by the thousand. */
  const applyMappings = async (works: readonly MarkedWork[], own: readonly Row[]): Promise<Failure[]> => {
    const puts = [...own];
    const failures: Failure[] = [];
    for (const work of works) {
      try {
        const wanted = work.deleted ? [] : rowsOf(known, host, work);
        // Of an address whose slot is somebody else's by now nothing may stay.
        if (wanted.length < addressCount(work)) applyRows(work);
        else puts.push(...wanted);
      } catch (error) {
        failures.push(failOf(error, work));
      }
    }
    try {
      await rows.putMany('mappings', puts);
    } catch {
      // One by one, to learn which; own endpoints say it themselves.
      for (const work of works.filter(({ deleted }) => !deleted)) {
        try {
          applyRows(work);
        } catch (error) {
          failures.push(failOf(error, work));
        }
      }
    }
    return failures;
  };

  const failOf = (error: unknown, work: MarkedWork): Failure => {
    log.error({ error, object: work.id }, 'object could not be applied');
    const { object } = work;
    if (object.oneofKind === 'service') return failureOf(error, work.generation, object.service);
    return failureOf(error, work.generation, object.oneofKind === 'endpoint' ? object.endpoint : undefined);
  };

  /** Interfaces are made by several at once, each object's failure being its own. */
  const applyEndpoints = async (works: readonly MarkedWork[]): Promise<Failure[]> => {
    const failures: Failure[] = [];
    const queue = works.values();
    const worker = async (): Promise<void> => {
      for (const work of queue) {
        const failure = await applyEndpoint(work);
        if (failure !== undefined) failures.push(failure);
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrent_interfaces, works.length) }, worker));
    return failures;
  };

  /** Endpoints that are here, or were. */
  const isOwn = ({ id, former }: MarkedWork): boolean =>
    known.endpoints.has(id) || known.interfaces.has(id) || found.has(id) || (former?.length ?? 0) > 0;

  /** Mappings of own endpoints that can be reached already: a slot that is called held has them too. */
  const ownMappings = (works: readonly MarkedWork[]): readonly Row[] =>
    works.flatMap((work) => {
      if (!known.interfaces.has(work.id)) return [];
      try {
        return rowsOf(known, host, work).filter(({ map }) => map === 'mappings');
      } catch {
        return []; // It fails once more, and is named, when its turn comes.
      }
    });

  /** VPCs, subnets and tables with their rows, which are written and removed map by map. */
  const planContext = (works: readonly MarkedWork[], failures: Failure[]) => {
    const planned = new Map<MarkedWork, { readonly wanted: readonly Row[]; readonly gone: readonly RowKey[] }>();
    const attempt = (work: MarkedWork, run: () => void): void => {
      try {
        run();
      } catch (error) {
        failures.push(failOf(error, work));
        planned.delete(work);
      }
    };
    for (const work of works) {
      attempt(work, () => {
        const wanted = rowsOf(known, host, work);
        const keep = new Set(wanted.map(rowId));
        planned.set(work, { wanted, gone: keysOf(work).filter((key) => !keep.has(rowId(key))) });
      });
    }
    return {
      put: (map: MapName): void => {
        for (const [work, { wanted }] of planned) {
          attempt(work, () => {
            for (const row of wanted) if (row.map === map) putRow(row);
          });
        }
      },
      remove: (map: MapName): void => {
        for (const [work, { gone }] of planned) {
          attempt(work, () => {
            for (const key of gone) if (key.map === map) removeRow(work, key);
          });
        }
      },
    };
  };

  return {
    known,
    failed,
    get holdsSlots() {
      return holdsSlots;
    },
    isFailed: (failure) => [...failed.values()].includes(failure),
    mark: (changes) => {
      for (const change of changes) {
        try {
          for (const work of note(known, host, change)) {
            const merged = mergeWork(dirty.get(work.id), work);
            dirty.delete(work.id);
            dirty.set(work.id, { ...merged, generation: generationOf(work, change) });
          }
        } catch (error) {
          // A message that cannot be understood concerns its own object only.
          log.error({ error, change }, 'change could not be understood');
        }
      }
    },
    isMarked: (id) => dirty.has(id),
    markEndpoint: (id) => {
      const own = known.endpoints.get(id);
      if (own === undefined || dirty.has(id)) return;
      ensured.delete(id);
      const generation = own.endpoint.meta?.generation ?? 0;
      dirty.set(id, { id, object: { oneofKind: 'endpoint', endpoint: own.endpoint }, deleted: false, generation });
    },
    apply: async () => {
      const works = [...dirty.values()];
      dirty.clear();
      const failures: Failure[] = [];
      const context = works.filter(({ object }) => object.oneofKind !== 'endpoint');
      const endpoints = works.filter(({ object }) => object.oneofKind === 'endpoint');
      const own = endpoints.filter(isOwn);
      const ownWorks = new Set(own);
      for (const { id } of endpoints) if (!known.endpoints.has(id)) failed.delete(id);
      // Nothing shall be half visible: who is found has what it needs, who needs something is not found any more.
      const { put, remove } = planContext(context, failures);
      remove('holdings');
      // A name, and with it a namespace, is free again as soon as its endpoint is gone: who goes, goes first.
      failures.push(...(await applyEndpoints(own.filter(({ id }) => !known.endpoints.has(id)))));
      for (const map of ['routes', 'slots', 'networks'] as const) remove(map);
      put('networks');
      const here = own.filter(({ id }) => known.endpoints.has(id));
      const others = endpoints.filter((work) => !ownWorks.has(work));
      failures.push(...(await applyMappings(others, ownMappings(here))));
      // Who finds a service finds its ports, and who finds a port its backends.
      for (const map of ['slots', 'routes', 'backends', 'service_ports', 'services', 'holdings'] as const) put(map);
      for (const map of ['services', 'service_ports', 'backends'] as const) remove(map);
      if (context.some(({ object }) => object.oneofKind === 'table')) followTables();
      failures.push(...(await applyEndpoints(here)));
      return failures;
    },
    holdBack: () => {
      // What a snapshot that was cut short held back, this one says again, or does not.
      late = new Map();
    },
    release: () => {
      for (const id of failed.keys()) if (!known.endpoints.has(id)) failed.delete(id);
      for (const row of late?.values() ?? []) {
        try {
          rows.put(row);
        } catch (error) {
          log.error({ error, map: row.map }, 'row could not be written');
        }
      }
      late = undefined;
      found.clear();
      followTables();
    },
    forget: () => {
      known.vpcs.clear();
      known.subnets.clear();
      known.tables.clear();
      known.endpoints.clear();
      known.services.clear();
      ensured.clear();
      failed.clear();
      dirty.clear();
    },
  };
};

const addressCount = ({ object }: Work): number =>
  object.oneofKind === 'endpoint' && object.endpoint.ip6 !== '' ? 2 : 1;

/** A table or a subnet marks endpoints too, whose generation is not its own. */
const generationOf = ({ object, deleted }: Work, change: Change): number =>
  object.oneofKind === 'endpoint' && !deleted
    ? (object.endpoint.meta?.generation ?? change.generation)
    : change.generation;
