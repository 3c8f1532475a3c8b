import { type handleServerStreamingCall, Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import {
  addressHex,
  Endpoint,
  HeldAddress,
  Host,
  MegrezError,
  objectName,
  parseAddress,
  Service,
  Subnet,
  Vpc,
  validateName,
  type WatchRequest,
  type WatchResponse,
} from '@megrez/model';
import { parseKey, type WatchBatch, type WatchEvent } from '@megrez/store';
import type { Logger } from 'pino';
import { type Mirror, subnetKey } from '../mirror';
import { toMegrezError, toStatus } from '../server/errors';
import { shownService } from '../services/find';
import { shown } from './lookup';

/** A watcher that leaves more than this unread is ended: it must list and watch again. */
const unread_limit = 10_000;

type Call = ServerWritableStream<WatchRequest, WatchResponse>;

const gap = new MegrezError({
  code: 'ABORTED',
  reason: 'WATCH_GAP',
  object: 'watch',
  message:
    'the controller was out of touch with etcd for too long to tell every change; list again and go on from there',
});

/** A change with the VPC it belongs to; none for hosts, which belong to all. */
interface Told {
  readonly vpc: string | undefined;
  readonly response: WatchResponse;
}

export interface Watchers {
  /** Before the mirror takes the batch in: names of what is deleted are looked up in it. */
  onBatch(mirror: Mirror, batch: WatchBatch): void;
  readonly serve: handleServerStreamingCall<WatchRequest, WatchResponse>;
  close(): void;
}

export const createWatchers = (log: Logger): Watchers => {
  const calls = new Map<Call, number>();
  const fail = (call: Call, error: unknown): void => {
    calls.delete(call);
    call.emit('error', toStatus(toMegrezError(error, log)));
  };
  const write = (call: Call, response: WatchResponse): void => {
    const unread = calls.get(call);
    if (unread === undefined) return;
    if (unread >= unread_limit) fail(call, slow);
    else calls.set(call, call.write(response) ? 0 : unread + 1);
  };
  return {
    onBatch: (mirror, batch) => {
      if (batch.snapshot && batch.events.length > 0) {
        // Who was deleted meanwhile has no name any more, and how things came to be is not known.
        for (const call of calls.keys()) fail(call, gap);
        return;
      }
      if (calls.size === 0) return;
      for (const { vpc, response } of batch.events.flatMap((event) => told(mirror, batch, event))) {
        for (const call of calls.keys()) {
          const wanted = call.request.vpc;
          if (wanted === '' || vpc === undefined || vpc === wanted) write(call, response);
        }
      }
    },
    serve: (call) => {
      try {
        if (call.request.vpc !== '') validateName('vpc', call.request.vpc);
      } catch (error) {
        return fail(call, error);
      }
      calls.set(call, 0);
      call.on('cancelled', () => calls.delete(call));
      // Headers tell the caller that everything from now on will come.
      call.sendMetadata(new Metadata());
    },
    close: () => {
      for (const call of calls.keys()) call.end();
      calls.clear();
    },
  };
};

const slow = new MegrezError({
  code: 'RESOURCE_EXHAUSTED',
  reason: 'WATCHER_TOO_SLOW',
  object: 'watch',
  message: `more than ${unread_limit} changes wait to be read; list again and go on from there`,
});

const told = (mirror: Mirror, batch: WatchBatch, { path, value, revision }: WatchEvent): Told[] => {
  const key = parseKey(path);
  const deleted = value === undefined;
  const say = (vpc: string | undefined, object: string, content: WatchResponse['value']): Told[] => [
    { vpc, response: { revision, deleted, object, value: content } },
  ];
  const none: WatchResponse['value'] = { oneofKind: undefined };
  switch (key.kind) {
    case 'vpc': {
      const vpc = deleted
        ? none
        : { oneofKind: 'vpc' as const, vpc: shown({ value: Vpc.fromBinary(value), revision }) };
      return say(key.name, objectName.vpc(key.name), vpc);
    }
    case 'host': {
      const host = deleted
        ? none
        : { oneofKind: 'host' as const, host: shown({ value: Host.fromBinary(value), revision }) };
      return say(undefined, objectName.host(key.name), host);
    }
    case 'subnet': {
      const known = deleted ? lastSubnet(mirror, batch, key.vni, key.number) : Subnet.fromBinary(value);
      if (known === undefined) return [];
      const content = deleted ? none : { oneofKind: 'subnet' as const, subnet: shown({ value: known, revision }) };
      return say(known.vpc, objectName.subnet(known.vpc, known.name), content);
    }
    case 'endpoint': {
      if (deleted) return [];
      const endpoint = shown({ value: Endpoint.fromBinary(value), revision });
      // Once, though it is written under each of its addresses.
      if (!isFirst(endpoint, key.ip)) return [];
      const { vpc, subnet, name } = endpoint;
      return say(vpc, objectName.endpoint(vpc, subnet, name), { oneofKind: 'endpoint', endpoint });
    }
    case 'service': {
      const subnet = lastSubnet(mirror, batch, key.vni, key.subnet);
      if (subnet === undefined) return [];
      const object = objectName.service(subnet.vpc, subnet.name, key.name);
      if (deleted) return say(subnet.vpc, object, none);
      const service = shownService({ value: Service.fromBinary(value), revision });
      return say(subnet.vpc, object, { oneofKind: 'service', service });
    }
    case 'held': {
      // A deletion's own key has no value; the held address, written in the same txn, says what is gone.
      const endpoint = deleted ? undefined : HeldAddress.fromBinary(value).endpoint;
      if (endpoint === undefined || !isFirst(endpoint, key.ip)) return [];
      const { vpc, subnet, name } = endpoint;
      const object = objectName.endpoint(vpc, subnet, name);
      return [{ vpc, response: { revision, deleted: true, object, value: none } }];
    }
    default:
      return [];
  }
};

const isFirst = (endpoint: Endpoint, ip: string): boolean => addressHex(parseAddress(endpoint.ip)) === ip;

/** A subnet as it was before it was deleted, also when that was in the same batch. */
const lastSubnet = (mirror: Mirror, batch: WatchBatch, vni: number, number: number): Subnet | undefined => {
  const known = mirror.subnets.get(subnetKey(vni, number))?.value;
  if (known !== undefined) return known;
  const made = batch.events.findLast(({ path, value }) => {
    const key = parseKey(path);
    return value !== undefined && key.kind === 'subnet' && key.vni === vni && key.number === number;
  });
  return made?.value === undefined ? undefined : Subnet.fromBinary(made.value);
};
