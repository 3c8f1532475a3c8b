import {
  addressHex,
  contains,
  formatAddress,
  type Hello,
  Host,
  MegrezError,
  objectName,
  parseCidr,
  validateHello,
} from '@megrez/model';
import { type Compare, type Entry, keys, type Operation } from '@megrez/store';
import type { Context } from '../context';
import type { Session } from './session';

const attempts = 10;

/**
 * Makes a session the host's current one, and the host itself if it is new; the name and the address of a host are
 * claimed for ever.
 * @throws MegrezError FAILED_PRECONDITION / HOST_ADDRESS_CONFLICT, INVALID_ARGUMENT / ADDRESS_OUTSIDE_UNDERLAY
 */
export const register = async (context: Context, hello: Hello, session: Session): Promise<void> => {
  const address = validateHello(hello);
  const object = objectName.host(hello.host);
  const ip = formatAddress(address);
  if (!context.underlayPrefixes.some((cidr) => contains(parseCidr(cidr), address))) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'ADDRESS_OUTSIDE_UNDERLAY',
      object,
      message: `${ip} is in none of the underlay prefixes (${context.underlayPrefixes.join(', ')})`,
    });
  }
  const sessionKey = keys.session(hello.host);
  const hostKey = keys.host(hello.host);
  const addressKey = keys.hostAddress(addressHex(address));
  const record = {
    host: hello.host,
    relay: context.incarnation,
    incarnation: hello.incarnation,
    session: session.id,
  };
  let [host, claimed, current] = [
    context.mirror.hosts.get(hello.host),
    undefined as { readonly value: Host } | undefined,
    context.mirror.sessions.get(hello.host)?.revision,
  ];
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const known = host?.value.address ?? ip;
    if (known !== ip)
      throw conflict(
        object,
        `${object} has the address ${known}, not ${ip}; delete the host first, or correct the agent's address`,
      );
    const other = claimed?.value.name ?? hello.host;
    if (other !== hello.host) throw conflict(object, `${ip} is the address of ${objectName.host(other)} already`);
    const compares: Compare[] = [
      current === undefined
        ? { kind: 'absent', key: sessionKey }
        : { kind: 'revision', key: sessionKey, revision: current },
    ];
    const operations: Operation[] = [{ kind: 'put', key: sessionKey, value: record }];
    if (host === undefined) {
      compares.push({ kind: 'absent', key: hostKey }, { kind: 'absent', key: addressKey });
      operations.push(
        { kind: 'put', key: hostKey, value: newHost(hello, ip) },
        { kind: 'put', key: addressKey, value: Host.create({ name: hello.host }) },
      );
    } else {
      compares.push({ kind: 'revision', key: hostKey, revision: host.revision });
    }
    const result = await context.store.txn(compares, operations);
    if (result.succeeded) {
      session.record_revision = result.revision;
      return;
    }
    for (const { compare, current: now } of result.failed) {
      if (compare.kind === 'empty') continue;
      if (compare.key.path === sessionKey.path) current = now?.revision;
      if (compare.key.path === hostKey.path) host = now as Entry<Host> | undefined;
      if (compare.key.path === addressKey.path) claimed = now as Entry<Host> | undefined;
    }
  }
  throw new MegrezError({
    code: 'ABORTED',
    reason: 'SESSION_CONTENDED',
    object,
    message: `several sessions of ${object} replace each other: does more than one agent run for it?`,
  });
};

const newHost = (hello: Hello, address: string): Host =>
  Host.create({
    meta: { generation: 0, requestId: '', createdAtMs: Date.now(), deleting: false },
    name: hello.host,
    address,
    weight: hello.weight,
    zone: hello.zone,
  });

const conflict = (object: string, message: string): MegrezError =>
  new MegrezError({ code: 'FAILED_PRECONDITION', reason: 'HOST_ADDRESS_CONFLICT', object, message });

/** Takes the record of a session that is no more away, so that every controller sees its host detached. */
export const withdraw = async ({ store }: Context, host: string, revision: number): Promise<void> => {
  const key = keys.session(host);
  await store.txn([{ kind: 'revision', key, revision }], [{ kind: 'remove', key }]);
};
