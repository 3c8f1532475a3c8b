/** The agents' side of the session protocol, for specs: keeps what it is told as a kernel would, and acknowledges. */
import { randomUUID } from 'node:crypto';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  type Batch,
  type Change,
  type Endpoint,
  type Failure,
  Hello,
  nodeServiceDefinition,
  type Service,
  type SessionRequest,
  type SessionResponse,
  type SlotTable,
  type Subnet,
  type Vpc,
  type Welcome,
} from '@megrez/model';

export interface PeerOptions {
  readonly server: string;
  readonly host: string;
  readonly address: string;
  /** What the host cannot apply; none when absent. */
  readonly refuse?: (change: Change) => Pick<Failure, 'reason' | 'message'> | undefined;
  readonly ping_ms?: number;
}

type Kept<T> = { readonly generation: number; readonly value: T };

export interface Peer {
  readonly host: string;
  readonly welcome: Welcome;
  readonly vpcs: Map<number, Kept<Vpc>>;
  readonly subnets: Map<string, Kept<Subnet>>;
  readonly tables: Map<string, Kept<SlotTable>>;
  /** By `<vni>/<subnet>/<ip>`. */
  readonly endpoints: Map<string, Kept<Endpoint>>;
  /** By `<vni>/<subnet>/<name>`; gone with the last slot that the host holds. */
  readonly services: Map<string, Kept<Service>>;
  /** Every Batch received, in order. */
  readonly batches: Batch[];
  readonly snapshots: number;
  readonly ended: Promise<Error | undefined>;
  /** While true nothing is acknowledged; releasing acknowledges all. */
  hold(on: boolean): void;
  /** While true nothing is pinged. */
  silence(on: boolean): void;
  /** Resolves when the condition holds after some batch. */
  until(condition: () => boolean): Promise<void>;
  close(): void;
}

/** Connects and resolves when the snapshot is complete. Rejects with the call's status when the relay refuses. */
export const connectPeer = async (options: PeerOptions): Promise<Peer> => {
  const client = new Client(options.server, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const method = nodeServiceDefinition.session;
  const stream: ClientDuplexStream<SessionRequest, SessionResponse> = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
  );
  const vpcs = new Map<number, Kept<Vpc>>();
  const subnets = new Map<string, Kept<Subnet>>();
  const tables = new Map<string, Kept<SlotTable>>();
  const endpoints = new Map<string, Kept<Endpoint>>();
  const services = new Map<string, Kept<Service>>();
  const batches: Batch[] = [];
  const counts = { snapshots: 0 };
  const waiters = new Set<{ condition: () => boolean; resolve: () => void }>();
  let named = new Set<string>();
  let holding = false;
  let silent = false;
  let withheld: { sequence: number; failures: Failure[] } | undefined;
  let number = 0;

  const apply = <K, T>(map: Map<K, Kept<T>>, key: K, { generation, deleted }: Change, value: T): void => {
    const known = map.get(key);
    if (known !== undefined && known.generation > generation) return;
    if (deleted) map.delete(key);
    else map.set(key, { generation, value });
  };
  const holds = (table: string): boolean => {
    const value = tables.get(table)?.value;
    const owner = value?.owners.findIndex(({ host }) => host === options.host);
    return value?.slots.some(({ holders }) => holders.some((holder) => holder.owner === owner)) ?? false;
  };
  const failuresOf = (change: Change): Failure[] => {
    const refused = change.deleted ? undefined : options.refuse?.(change);
    const { object } = change;
    const refusable = object.oneofKind === 'endpoint' ? object.endpoint : undefined;
    const about = object.oneofKind === 'service' ? object.service : refusable;
    if (refused === undefined || about === undefined) return [];
    const { vni, subnetNumber, ip } = about;
    return [{ generation: change.generation, vni, subnetNumber, ip, ...refused }];
  };
  const take = (change: Change): Failure[] => {
    const failures = failuresOf(change);
    if (failures.length > 0) return failures;
    const { object } = change;
    if (object.oneofKind === 'vpc') apply(vpcs, object.vpc.vni, change, object.vpc);
    if (object.oneofKind === 'subnet') {
      apply(subnets, `${object.subnet.vni}/${object.subnet.number}`, change, object.subnet);
    }
    if (object.oneofKind === 'table') {
      const { vni, subnet } = object.table;
      apply(tables, `${vni}/${subnet}`, change, object.table);
      if (holds(`${vni}/${subnet}`)) return [];
      for (const [key, { value }] of services) {
        if (value.vni === vni && value.subnetNumber === subnet) services.delete(key);
      }
    }
    if (object.oneofKind === 'service') {
      const { vni, subnetNumber, name } = object.service;
      const subnet = `${vni}/${subnetNumber}`;
      if (!change.deleted && !holds(subnet)) throw new Error(`service ${name} is no business of ${options.host}`);
      named.add(`${subnet}/${name}`);
      apply(services, `${subnet}/${name}`, change, object.service);
    }
    if (object.oneofKind === 'endpoint') {
      const { vni, subnetNumber, ip } = object.endpoint;
      const subnet = `${vni}/${subnetNumber}`;
      if (!change.deleted && !(subnets.has(subnet) && tables.has(subnet) && vpcs.has(vni))) {
        throw new Error(`endpoint ${ip} came before its subnet`);
      }
      named.add(`${subnet}/${ip}`);
      apply(endpoints, `${subnet}/${ip}`, change, object.endpoint);
      // Of an endpoint with two addresses whoever holds the slot of the second one is told of that.
      for (const [key, { value }] of endpoints) {
        if (change.deleted && value.vni === vni && value.ip6 === ip && value.host !== options.host)
          endpoints.delete(key);
      }
    }
    return [];
  };
  const acknowledge = (sequence: number, failures: Failure[]): void => {
    if (holding) {
      withheld = { sequence, failures: [...(withheld?.failures ?? []), ...failures] };
      return;
    }
    stream.write({ message: { oneofKind: 'ack', ack: { sequence, failures } } });
  };
  const onBatch = (batch: Batch): void => {
    const previous = batches.at(-1)?.sequence ?? 0;
    if (batch.sequence !== previous + 1) throw new Error(`sequence ${batch.sequence} after ${previous}`);
    batches.push(batch);
    if (batch.snapshot && previous === 0) named = new Set();
    const failures = batch.changes.flatMap(take);
    if (batch.snapshotEnd) {
      counts.snapshots += 1;
      for (const map of [endpoints, services]) {
        for (const key of map.keys()) if (!named.has(key)) map.delete(key);
      }
    }
    acknowledge(batch.sequence, failures);
    for (const waiter of waiters) {
      if (!waiter.condition()) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  };

  let finish: (error: Error | undefined) => void;
  const ended = new Promise<Error | undefined>((resolve) => {
    finish = resolve;
  });
  const timer = setInterval(() => {
    number += 1;
    if (!silent) stream.write({ message: { oneofKind: 'ping', ping: { number } } });
  }, options.ping_ms ?? 500);
  const close = (error?: Error): void => {
    clearInterval(timer);
    finish(error);
    stream.cancel();
    client.close();
  };
  const until = (condition: () => boolean): Promise<void> =>
    condition() ? Promise.resolve() : new Promise((resolve) => waiters.add({ condition, resolve }));

  const welcome = await new Promise<Welcome>((resolve, reject) => {
    stream.on('error', (error) => {
      reject(error);
      close(error);
    });
    stream.on('end', () => close());
    stream.on('data', ({ message }: SessionResponse) => {
      try {
        if (message.oneofKind === 'welcome') resolve(message.welcome);
        if (message.oneofKind === 'batch') onBatch(message.batch);
        if (message.oneofKind === 'mappingQuery') answer(message.mappingQuery);
      } catch (error) {
        reject(error);
        close(error as Error);
      }
    });
    const hello = Hello.create({ host: options.host, address: options.address, incarnation: randomUUID() });
    stream.write({ message: { oneofKind: 'hello', hello } });
  });

  function answer({ id, vni, ip }: { id: number; vni: number; ip: string }): void {
    const kept = [...endpoints.values()].find(({ value }) => value.vni === vni && value.ip === ip);
    const mappingAnswer = {
      id,
      found: kept !== undefined,
      hostAddress: kept?.value.hostAddress ?? '',
      mac: kept?.value.mac ?? '',
      generation: kept?.generation ?? 0,
    };
    stream.write({ message: { oneofKind: 'mappingAnswer', mappingAnswer } });
  }

  await Promise.race([
    until(() => counts.snapshots > 0),
    ended.then((error) => {
      throw error ?? new Error('the session ended before its snapshot');
    }),
  ]);
  return {
    host: options.host,
    welcome,
    vpcs,
    subnets,
    tables,
    endpoints,
    services,
    batches,
    get snapshots() {
      return counts.snapshots;
    },
    ended,
    hold: (on) => {
      holding = on;
      if (on || withheld === undefined) return;
      stream.write({ message: { oneofKind: 'ack', ack: withheld } });
      withheld = undefined;
    },
    silence: (on) => {
      silent = on;
    },
    until,
    close: () => close(),
  };
};
