import { addressHex, type Change, type Endpoint, parseAddress } from '@megrez/model';
import { type Entry, type Prefix, prefixes, type RangeResult, type Store } from '@megrez/store';
import { dividersKey, type Mirror, subnetKey } from '../mirror';
import { endpointChange, endpointDeletion, serviceChange } from './changes';
import { type Knowledge, type Load, slotsHeld } from './knowledge';
import { dividersContext, subnetContext } from './route';

const page_entries = 5_000;
/** With more slots than this, the whole range of a small subnet is read and sifted. */
const ranges_at_most = 64;
/** Of a large one slots are read one by one: etcd counts all that is left of a range with each page of it. */
const sifted_at_most = 2 * page_entries;
/** Slots that are read while an earlier one is sent. */
const reads_ahead = 4;

/** What reading a load changes of its session. */
export interface Reader {
  readonly host: string;
  readonly know: Knowledge;
  readonly ended: boolean;
  floor: number;
}

/**
 * Reads what a load asks for, all of it as of one revision. A snapshot is pinned by its first read (an older revision
 * may be compacted away) and tells the session that revision as its floor.
 */
export async function* readLoad(
  store: Store,
  mirror: Mirror,
  load: Load,
  session: Reader,
): AsyncGenerator<readonly Change[]> {
  if (load.kind === 'slots') yield* readSlots(store, load, session);
  else yield* readSnapshot(store, mirror, session);
}

async function* readSnapshot(store: Store, mirror: Mirror, session: Reader): AsyncGenerator<readonly Change[]> {
  const { host, know } = session;
  // What the host holds is taken before anything is read: later table events are compared with it. Earlier ones wait behind
  // this when many hosts come at once: taken for news they would take slots away that the host serves.
  know.tablesUpTo(mirror.revision);
  const tables = [...(mirror.tablesOf.get(host) ?? [])];
  const views = tables.flatMap((key) => mirror.tables.get(key) ?? []);
  for (const view of views) know.hold(subnetKey(view.value.vni, view.value.subnet), view);
  const first = await store.range(prefixes.byHost(host), { limit: page_entries });
  session.floor = first.revision;
  for (const { value } of views) yield introduced(mirror, know, value.vni, value.subnet);
  for await (const entries of pages(store, prefixes.byHost(host), first.revision, first)) {
    const changes: Change[] = [];
    // Its subnet, which is older, may be younger than the mirror.
    const newest = entries.reduce((revision, entry) => Math.max(revision, entry.revision), 0);
    while (mirror.revision < newest && !session.ended) await mirror.changed.next(1_000);
    for (const entry of entries) {
      const { vni, subnetNumber } = entry.value;
      know.add(subnetKey(vni, subnetNumber), lastPart(entry.path));
      changes.push(...introduced(mirror, know, vni, subnetNumber), endpointChange(entry));
    }
    yield changes;
  }
  for (const view of views) {
    const { vni, subnet } = view.value;
    if (subnet === 0 || slotsHeld(view, host).size === 0) continue;
    yield* readServices(store, vni, subnet, first.revision);
    for await (const entries of slotEntries(store, vni, subnet, slotsHeld(view, host), first.revision)) {
      const others = entries.filter(({ value }) => !know.owns(subnetKey(vni, subnet), firstAddress(value)));
      yield others.map(endpointChange);
    }
  }
}

const introduced = (mirror: Mirror, know: Knowledge, vni: number, subnet: number): Change[] => {
  if (subnetKey(vni, subnet) === dividersKey(vni)) {
    const context = dividersContext(mirror, vni);
    return context === undefined ? [] : know.introduceDividers(context);
  }
  const context = subnetContext(mirror, vni, subnet);
  return context === undefined ? [] : know.introduce(context);
};

async function* readSlots(
  store: Store,
  load: Extract<Load, { kind: 'slots' }>,
  { know }: Reader,
): AsyncGenerator<readonly Change[]> {
  const [vni = 0, subnet = 0] = load.key.split('/').map(Number);
  if (load.services) yield* readServices(store, vni, subnet, load.revision);
  for await (const entries of slotEntries(store, vni, subnet, load.slots, load.revision)) {
    if (!load.lost) {
      yield entries.map(endpointChange);
      continue;
    }
    const foreign = entries.filter(({ value }) => !know.owns(load.key, firstAddress(value)));
    yield foreign.map(({ path }) =>
      endpointDeletion({ vni, subnet, slot: slotOfPath(path), ip: lastPart(path), revision: load.revision }),
    );
  }
}

async function* readServices(
  store: Store,
  vni: number,
  subnet: number,
  revision: number,
): AsyncGenerator<readonly Change[]> {
  for await (const entries of pages(store, prefixes.services(vni, subnet), revision)) yield entries.map(serviceChange);
}

async function* slotEntries(
  store: Store,
  vni: number,
  subnet: number,
  slots: ReadonlySet<number>,
  revision: number,
): AsyncGenerator<readonly Entry<Endpoint>[]> {
  if (slots.size > ranges_at_most && (await store.count(prefixes.endpoints(vni, subnet))) <= sifted_at_most) {
    for await (const entries of pages(store, prefixes.endpoints(vni, subnet), revision)) {
      yield entries.filter(({ path }) => slots.has(slotOfPath(path)));
    }
    return;
  }
  const open = (slot: number): Promise<RangeResult<Endpoint>> => {
    const page = store.range(prefixes.endpoints(vni, subnet, slot), { limit: page_entries, revision });
    // Whoever reads it hears of its failure; nobody may, when an earlier one has failed.
    page.catch(() => undefined);
    return page;
  };
  const left = [...slots];
  const ahead = left.splice(0, reads_ahead).map((slot) => ({ slot, page: open(slot) }));
  for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
    const following = left.shift();
    if (following !== undefined) ahead.push({ slot: following, page: open(following) });
    yield* pages(store, prefixes.endpoints(vni, subnet, next.slot), revision, await next.page);
  }
}

/** A host's own endpoints are known by their first address; the range holds them under the second one too. */
const firstAddress = ({ ip }: Endpoint): string => addressHex(parseAddress(ip));

const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** `endpoints/<vni>/<subnet>/<slot:2hex>/<ip:32hex>` */
const slotOfPath = (path: string): number => Number.parseInt(path.slice(-35, -33), 16);

/** All entries below a prefix as of a revision, in pages; `first` is the first page where it is known already. */
export async function* pages<T extends object>(
  store: Store,
  prefix: Prefix<T>,
  revision: number,
  first?: RangeResult<T>,
): AsyncGenerator<readonly Entry<T>[]> {
  let page = first ?? (await store.range(prefix, { limit: page_entries, revision }));
  for (;;) {
    if (page.entries.length > 0) yield page.entries;
    const after = page.entries.at(-1)?.path;
    if (!page.more || after === undefined) return;
    page = await store.range(prefix, { limit: page_entries, revision, after });
  }
}
