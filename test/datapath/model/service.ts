/**
 * Services (design §4, *Service*; the rows' comments in bpf/abi.h): which backend a flow gets, and its translation there and
 * back, known at the client's host alone.
 */
import { type Address, bytesOf, ip4At, ip4Of, mix, zero } from './bytes';
import { ETHERNET, IP4 } from './packet';
import { type Backend, elapsed, type Flow, type FlowKey, flowName, type State, servicePortName } from './state';

const newFlow_ns = 60_000_000_000;
const datagramFlow_ns = 180_000_000_000;
const establishedFlow_ns = 7_200_000_000_000;
/** A SYN this long after the last choice asks for another one. */
const retry_ns = 900_000_000;
const portTries = 8;
const flowsPerPort = 1 << 14;
const buckets = 1021;
const tellRefusal = 1;
const tcp = 6;
const udp = 17;

/** The flow of the IPv4 packet at `at`; or why it has none. */
export const flowAt = (
  packet: Buffer,
  at: number,
  vni: number,
): FlowKey | 'service_protocol' | 'service_fragment' | 'malformed' => {
  const protocol = packet.readUInt8(at + 9);
  // Services are of IPv4, and have ports.
  if (packet.readUInt8(at) >> 4 !== 4 || (protocol !== tcp && protocol !== udp)) return 'service_protocol';
  if (packet.readUInt16BE(at + 6) & 0x3fff) return 'service_fragment';
  const ports = at + (packet.readUInt8(at) & 15) * 4;
  // All that is translated: the ports, and the sum behind them.
  if (packet.length < ports + (protocol === tcp ? 18 : 8)) return 'malformed';
  return {
    vni,
    source: ip4At(packet, at + 12),
    destination: ip4At(packet, at + 16),
    source_port: packet.readUInt16BE(ports),
    destination_port: packet.readUInt16BE(ports + 2),
    protocol,
  };
};

/** Of TCP; all false for anything else. */
export const tcpFlags = (packet: Buffer, at: number): { opens: boolean; ends: boolean; acknowledges: boolean } => {
  const flags = packet.readUInt8(at + 9) === tcp ? (packet[at + (packet.readUInt8(at) & 15) * 4 + 13] ?? 0) : 0;
  return { opens: (flags & 18) === 2, ends: (flags & 5) !== 0, acknowledges: (flags & 16) !== 0 };
};

// ---- choosing

/** Words as the machine reads them. */
const mixAddress = (hash: number, address: Address): number => {
  const bytes = bytesOf(address);
  return [0, 4, 8, 12].reduce((sum, at) => mix(sum, bytes.readUInt32LE(at)), hash);
};
const swapped = (port: number): number => ((port & 0xff) << 8) | (port >> 8);
const finish = (hash: number): number => {
  const product = Math.imul(hash, 0x85ebca6b) >>> 0;
  return (product ^ (product >>> 13)) >>> 0;
};

/** The same everywhere: by it flows are spread over the bouncers, and over the backends. */
export const spreadOf = (flow: FlowKey): number => {
  const ends = mixAddress(mixAddress(flow.vni, flow.source), flow.destination);
  const ports = ((swapped(flow.source_port) << 16) | swapped(flow.destination_port)) >>> 0;
  return finish(mix(mix(ends, ports), flow.protocol));
};

/** A bouncer's choice; nobody: whether the client is told so. */
export const choose = (state: State, flow: FlowKey): Backend | { readonly told: boolean } => {
  const name = servicePortName(flow.vni, flow.destination, flow.destination_port, flow.protocol);
  const port = state.service_ports.get(name);
  if (!port) return { told: true };
  const told = port.refusal === tellRefusal;
  if (port.backends === 0) return { told };
  const hash = port.byClient ? finish(mixAddress(flow.vni, flow.source)) : spreadOf(flow);
  return state.backends.get(`${name}/${port.bucket.readUInt16LE((hash % buckets) * 2)}`) ?? { told };
};

// ---- flows

export const findFlow = (state: State, key: FlowKey): Flow | undefined =>
  state.flows.get(flowName(key)) ?? state.young_flows.get(flowName(key));

const lives = (flow: Flow, now: number): boolean => {
  const unanswered_ns = flow.key.protocol === udp ? datagramFlow_ns : newFlow_ns;
  return elapsed(flow.seen_at, now) < (flow.state === 'established' ? establishedFlow_ns : unanswered_ns);
};

/** The flow, if it lives and its packet does not open another one under its name. */
export const livingFlow = (state: State, key: FlowKey, opens: boolean, now: number): Flow | undefined => {
  const flow = findFlow(state, key);
  if (!flow || !lives(flow, now)) return undefined;
  return opens && (flow.state === 'closing' || elapsed(flow.pinned_at, now) > retry_ns) ? undefined : flow;
};

type Ends = Pick<Flow, 'source' | 'destination' | 'source_port' | 'destination_port'>;

/** How what answers a translated packet comes. */
const backOf = (key: FlowKey, ends: Ends): FlowKey => ({
  vni: key.vni,
  source: ends.destination,
  destination: ends.source,
  source_port: ends.destination_port,
  destination_port: ends.source_port,
  protocol: key.protocol,
});

/** The endpoint at `ifindex` is a client of services now: its answers are looked at. */
export const noteClient = (state: State, ifindex: number, now: number): void => {
  const quota = state.quotas.get(ifindex);
  if (quota) quota.pinned_at = now;
  else state.quotas.set(ifindex, { pinned_at: now, flows: 0 });
};

/** Gives the flow its backend, there and back; false when no port of the client is free. */
export const pin = (state: State, key: FlowKey, backend: Backend, ifindex: number, now: number): boolean => {
  let ends: Ends = {
    // A backend that is its own client sees the service as the sender.
    source: backend.ip === key.source ? key.destination : key.source,
    source_port: key.source_port,
    destination: backend.ip,
    destination_port: backend.port,
  };
  // Another service's flow to the same backend may have the client's port.
  for (let tried = 0; !isFree(state, key, backOf(key, ends), now); tried++) {
    const hash = mix(now % 2 ** 32, swapped(ends.source_port) + tried);
    ends = { ...ends, source_port: 0x4000 | (hash & 0x3fff) };
    if (tried === portTries - 1) return false;
  }
  const back = backOf(key, ends);
  for (const name of [flowName(key), flowName(back)]) {
    state.flows.delete(name);
    state.young_flows.delete(name);
  }
  const fresh = { state: 'new', ifindex, pinned_at: now, seen_at: now } as const;
  state.young_flows.set(flowName(key), { key, ...ends, ...fresh });
  state.young_flows.set(flowName(back), {
    key: back,
    source: key.destination,
    source_port: key.destination_port,
    destination: key.source,
    destination_port: key.source_port,
    ...fresh,
  });
  return true;
};

const isFree = (state: State, key: FlowKey, back: FlowKey, now: number): boolean => {
  const other = findFlow(state, back);
  return (
    !other ||
    !lives(other, now) ||
    (other.source === key.destination &&
      other.source_port === key.destination_port &&
      other.destination_port === key.source_port)
  );
};

/** An answer came: both ways of the flow move out of the reach of others, within the endpoint's share. */
export const establish = (state: State, key: FlowKey): void => {
  const here = state.young_flows.get(flowName(key));
  const there = here && state.young_flows.get(flowName(backOf(key, here)));
  const quota = here && state.quotas.get(here.ifindex);
  if (!here || !there || !quota || quota.flows >= flowsPerPort) return;
  for (const flow of [here, there]) {
    flow.state = 'established';
    state.flows.set(flowName(flow.key), flow);
    state.young_flows.delete(flowName(flow.key));
  }
  quota.flows++;
};

/** One end says that it is over: so it is both ways. */
export const close = (state: State, key: FlowKey): void => {
  const flow = findFlow(state, key);
  if (!flow) return;
  flow.state = 'closing';
  const back = findFlow(state, backOf(key, flow));
  if (back) back.state = 'closing';
};

/** A packet of the flow; now and then (2^33 ns) one way keeps the other alive. */
export const see = (state: State, flow: Flow, now: number): void => {
  const back =
    Math.floor(flow.seen_at / 2 ** 33) === Math.floor(now / 2 ** 33)
      ? undefined
      : findFlow(state, backOf(flow.key, flow));
  if (back) back.seen_at = now;
  flow.seen_at = now;
};

// ---- translating

/** RFC 1624, as the kernel computes it: `after` takes the place of `before` in what the sum at `at` covers. */
const resum = (copy: Buffer, at: number, before: Buffer, after: Buffer): void => {
  let sum = ~copy.readUInt16BE(at) & 0xffff;
  for (let i = 0; i < before.length; i += 2) sum += (~before.readUInt16BE(i) & 0xffff) + after.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  copy.writeUInt16BE(~sum & 0xffff, at);
};

const put = (copy: Buffer, at: number, bytes: Buffer, sums: readonly number[]): void => {
  const before = Buffer.from(copy.subarray(at, at + bytes.length));
  for (const sum of sums) resum(copy, sum, before, bytes);
  copy.set(bytes, at);
};

const portBytes = (port: number): Buffer => Buffer.from([port >> 8, port & 0xff]);

/** A bare frame with the flow's addresses and ports. */
export const translated = (packet: Buffer, flow: Flow): Buffer => {
  const at = ETHERNET;
  const transport = at + (packet.readUInt8(at) & 15) * 4;
  const isUdp = packet.readUInt8(at + 9) === udp;
  const sum = transport + (isUdp ? 6 : 16);
  const copy = Buffer.from(packet);
  // A datagram without a sum stays without one, and one whose sum is 0 says so as 0xffff.
  const keepsNone = isUdp && copy.readUInt16BE(sum) === 0;
  const write = (offset: number, bytes: Buffer, header: readonly number[]): void => {
    put(copy, offset, bytes, keepsNone ? header : [...header, sum]);
    if (isUdp && !keepsNone && copy.readUInt16BE(sum) === 0) copy.writeUInt16BE(0xffff, sum);
  };
  write(at + 12, ip4Of(flow.source), [at + 10]);
  write(at + 16, ip4Of(flow.destination), [at + 10]);
  write(transport, portBytes(flow.source_port), []);
  write(transport + 2, portBytes(flow.destination_port), []);
  return copy;
};

/**
 * A bare frame on its last step to the endpoint at `ifindex`: answers of its flows come from the service again, and so do
 * errors about them.
 */
export const undone = (state: State, packet: Buffer, ifindex: number, vni: number, now: number): Buffer => {
  if (!state.quotas.has(ifindex)) return packet;
  const key = flowAt(packet, ETHERNET, vni);
  if (key === 'service_protocol') return errorUndone(state, packet, vni) ?? packet;
  const flow = typeof key === 'string' ? undefined : findFlow(state, key);
  if (typeof key === 'string' || !flow || !lives(flow, now)) return packet;
  see(state, flow, now);
  const answer = translated(packet, flow);
  if (key.protocol !== tcp) return answer;
  if (tcpFlags(packet, ETHERNET).ends) close(state, key);
  else if (flow.state === 'new') establish(state, key);
  return answer;
};

/**
 * ICMP: unreachable, time exceeded, parameter problem; about a packet of a flow, as its client sent it. Undefined for
 * anything else.
 */
export const errorUndone = (state: State, packet: Buffer, vni: number): Buffer | undefined => {
  const icmp = ETHERNET + IP4;
  const quoted = icmp + 8;
  const ports = quoted + IP4;
  if (packet.length < ports + 4 || packet.readUInt8(ETHERNET) !== 0x45) return undefined;
  if (packet.readUInt8(ETHERNET + 9) !== 1) return undefined;
  if ((packet.readUInt8(quoted) & 15) !== 5) return undefined;
  if (packet.readUInt16BE(ETHERNET + 6) & 0x3fff || ![3, 11, 12].includes(packet.readUInt8(icmp))) return undefined;
  const backend = ip4At(packet, quoted + 16);
  const flow = findFlow(state, {
    vni,
    source: backend,
    destination: ip4At(packet, quoted + 12),
    source_port: packet.readUInt16BE(ports + 2),
    destination_port: packet.readUInt16BE(ports),
    protocol: packet.readUInt8(quoted + 9),
  });
  if (!flow) return undefined;
  const copy = Buffer.from(packet);
  // The quoted header's sum balances its addresses; the sum around it sees the ports alone.
  put(copy, quoted + 12, ip4Of(flow.destination), [quoted + 10]);
  put(copy, quoted + 16, ip4Of(flow.source), [quoted + 10]);
  put(copy, ports, portBytes(flow.destination_port), [icmp + 2]);
  put(copy, ports + 2, portBytes(flow.source_port), [icmp + 2]);
  // The backend itself may say it, or a gateway on the way.
  if (ip4At(packet, ETHERNET + 12) === backend) put(copy, ETHERNET + 12, ip4Of(flow.source), [ETHERNET + 10]);
  put(copy, ETHERNET + 16, ip4Of(flow.destination), [ETHERNET + 10]);
  return copy;
};

/** The body of PIN, behind the cookie: the backend, or nobody and whether that is told. */
export const pinBody = (choice: Backend | { readonly told: boolean }): Buffer => {
  const body = Buffer.alloc(20);
  body.set(bytesOf('ip' in choice ? choice.ip : zero), 0);
  body.writeUInt16BE('ip' in choice ? choice.port : 0, 16);
  body.writeUInt16BE(!('ip' in choice) && choice.told ? tellRefusal : 0, 18);
  return body;
};

/**
 * "Unreachable", as it is told to the endpoint at `ifindex`, about a packet that may have been translated when it left: it
 * names what the endpoint sent, and the flow ends, for it needs another backend.
 */
export const errorToClient = (state: State, error: Buffer, ifindex: number, vni: number): Buffer => {
  if (!state.quotas.has(ifindex)) return error;
  const sent = flowAt(error, ETHERNET + IP4 + 8, vni);
  if (typeof sent !== 'string') {
    const back = findFlow(state, {
      ...sent,
      source: sent.destination,
      destination: sent.source,
      source_port: sent.destination_port,
      destination_port: sent.source_port,
    });
    const there = back && findFlow(state, backOf(back.key, back));
    for (const flow of [back, there]) if (flow) flow.seen_at = 0;
  }
  return errorUndone(state, error, vni) ?? error;
};
