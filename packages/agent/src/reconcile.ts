import type { Change, Failure } from '@megrez/model';
import {
  contextOf,
  emptyKnown,
  type Known,
  keysOf,
  note,
  portKeys,
  type Row,
  rowId,
  rowsOf,
  type Work,
} from '@megrez/plan';
import type { Logger } from 'pino';
import { failureOf } from './failure';
import type { Interfaces } from './interfaces';
import type { NextHops } from './next-hops';
import type { Rows } from './rows';

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
    readonly self: string;
  },
  log: Logger,
): Reconciler => {
  const { host, rows, interfaces, nextHops, self } = fields;
  const known = emptyKnown();
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

  /** Everything but interfaces: what is wanted is written, what the object may have beside it goes. */
  const applyRows = (work: MarkedWork): void => {
    const wanted = rowsOf(known, host, work);
    const keep = new Set(wanted.map(rowId));
    for (const key of keysOf(work, known.interfaces.get(work.id)?.ifindex)) {
      if (keep.has(rowId(key))) continue;
      rows.remove(key, work.deleted ? work.generation : undefined);
      late?.delete(rowId(key));
    }
    for (const row of wanted) {
      // A slot is held when its mappings are complete.
      if (late !== undefined && row.map === 'holdings' && rows.lookup(row) === undefined) late.set(rowId(row), row);
      else rows.put(row);
    }
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
    if (own.endpoint.attachment?.kind.oneofKind === 'none') {
      applyRows(work);
      return detachEndpoint(work.id);
    }
    const generation = own.endpoint.meta?.generation ?? 0;
    if (ensured.get(work.id) === generation && known.interfaces.has(work.id)) return applyRows(work);
    const before = known.interfaces.get(work.id);
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

  const applyEndpoint = async (work: MarkedWork): Promise<Failure | undefined> => {
    const { object } = work;
    if (object.oneofKind !== 'endpoint') return undefined;
    const own = known.endpoints.get(work.id);
    try {
      if (own === undefined) {
        applyRows(work);
        await detachEndpoint(work.id);
      } else await attachEndpoint(work);
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
  const applyMappings = async (works: readonly MarkedWork[]): Promise<Failure[]> => {
    const puts: Row[] = [];
    const failures: Failure[] = [];
    for (const work of works) {
      try {
        if (work.deleted) applyRows(work);
        else puts.push(...rowsOf(known, host, work));
      } catch (error) {
        failures.push(failOf(error, work));
      }
    }
    try {
      await rows.putMany('mappings', puts);
    } catch {
      // One by one, to learn which.
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
    return failureOf(error, work.generation, work.object.oneofKind === 'endpoint' ? work.object.endpoint : undefined);
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

  const isOwn = (id: string): boolean => known.endpoints.has(id) || known.interfaces.has(id);

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
            dirty.delete(work.id);
            dirty.set(work.id, { ...work, generation: generationOf(work, change) });
          }
        } catch (error) {
          // A message that cannot be understood concerns its own object only.
          log.error({ error, change }, 'change could not be understood');
        }
      }
    },
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
      const mappings: typeof works = [];
      const own: typeof works = [];
      let tables = false;
      for (const work of works) {
        if (work.object.oneofKind === 'endpoint') {
          (isOwn(work.id) ? own : mappings).push(work);
          if (!known.endpoints.has(work.id)) failed.delete(work.id);
        } else {
          tables ||= work.object.oneofKind === 'table';
          try {
            applyRows(work);
          } catch (error) {
            failures.push(failOf(error, work));
          }
        }
      }
      if (tables) followTables();
      failures.push(...(await applyMappings(mappings)));
      // A name, and with it a namespace, is free again as soon as its endpoint is gone: who goes, goes first.
      const gone = own.filter(({ id }) => !known.endpoints.has(id));
      const here = own.filter(({ id }) => known.endpoints.has(id));
      failures.push(...(await applyEndpoints(gone)), ...(await applyEndpoints(here)));
      return failures;
    },
    holdBack: () => {
      late ??= new Map();
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
      followTables();
    },
    forget: () => {
      known.vpcs.clear();
      known.subnets.clear();
      known.tables.clear();
      known.endpoints.clear();
      ensured.clear();
      failed.clear();
      dirty.clear();
    },
  };
};

/** A table or a subnet marks endpoints too, whose generation is not its own. */
const generationOf = ({ object, deleted }: Work, change: Change): number =>
  object.oneofKind === 'endpoint' && !deleted
    ? (object.endpoint.meta?.generation ?? change.generation)
    : change.generation;
