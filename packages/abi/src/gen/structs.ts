// Generated from the BTF of bpf/ (npm run generate). Do not edit.
import { readBytes, readGeneration, writeBytes, writeGeneration, zeroed } from '../bytes';
import type { FlowState, HoldingState, PathState, Verdict } from './enums';

export interface HostKey {
  readonly host: Uint8Array;
}

export const hostKeySize = 16;

const writeHostKey = (buffer: Buffer, offset: number, value: HostKey): void => {
  writeBytes(buffer, offset, value.host, 16);
};

export const encodeHostKey = (value: HostKey): Buffer => {
  const buffer = zeroed(16);
  writeHostKey(buffer, 0, value);
  return buffer;
};

export const decodeHostKey = (buffer: Buffer, offset = 0): HostKey => ({
  host: readBytes(buffer, offset, 16),
});

export interface HostState {
  readonly asked_at: bigint;
  readonly heard_at: bigint;
  readonly probed_at: bigint;
}

export const hostStateSize = 24;

const writeHostState = (buffer: Buffer, offset: number, value: HostState): void => {
  buffer.writeBigUInt64LE(value.asked_at, offset);
  buffer.writeBigUInt64LE(value.heard_at, offset + 8);
  buffer.writeBigUInt64LE(value.probed_at, offset + 16);
};

export const encodeHostState = (value: HostState): Buffer => {
  const buffer = zeroed(24);
  writeHostState(buffer, 0, value);
  return buffer;
};

export const decodeHostState = (buffer: Buffer, offset = 0): HostState => ({
  asked_at: buffer.readBigUInt64LE(offset),
  heard_at: buffer.readBigUInt64LE(offset + 8),
  probed_at: buffer.readBigUInt64LE(offset + 16),
});

export interface Heard {
  readonly host: Uint8Array;
  readonly at: bigint;
}

export const heardSize = 24;

const writeHeard = (buffer: Buffer, offset: number, value: Heard): void => {
  writeBytes(buffer, offset, value.host, 16);
  buffer.writeBigUInt64LE(value.at, offset + 16);
};

export const encodeHeard = (value: Heard): Buffer => {
  const buffer = zeroed(24);
  writeHeard(buffer, 0, value);
  return buffer;
};

export const decodeHeard = (buffer: Buffer, offset = 0): Heard => ({
  host: readBytes(buffer, offset, 16),
  at: buffer.readBigUInt64LE(offset + 16),
});

export interface ServicePortKey {
  readonly vni: number;
  readonly ip: Uint8Array;
  readonly port: number;
  readonly protocol: number;
}

export const servicePortKeySize = 24;

const writeServicePortKey = (buffer: Buffer, offset: number, value: ServicePortKey): void => {
  buffer.writeUInt32LE(value.vni, offset);
  writeBytes(buffer, offset + 4, value.ip, 16);
  buffer.writeUInt16BE(value.port, offset + 20);
  buffer.writeUInt8(value.protocol, offset + 22);
};

export const encodeServicePortKey = (value: ServicePortKey): Buffer => {
  const buffer = zeroed(24);
  writeServicePortKey(buffer, 0, value);
  return buffer;
};

export const decodeServicePortKey = (buffer: Buffer, offset = 0): ServicePortKey => ({
  vni: buffer.readUInt32LE(offset),
  ip: readBytes(buffer, offset + 4, 16),
  port: buffer.readUInt16BE(offset + 20),
  protocol: buffer.readUInt8(offset + 22),
});

export interface ServicePort {
  readonly generation: number;
  readonly backends: number;
  readonly affinity: number;
  readonly refusal: number;
  readonly bucket: Uint8Array;
}

export const servicePortSize = 2064;

const writeServicePort = (buffer: Buffer, offset: number, value: ServicePort): void => {
  writeGeneration(buffer, offset, value.generation);
  buffer.writeUInt32LE(value.backends, offset + 8);
  buffer.writeUInt16LE(value.affinity, offset + 12);
  buffer.writeUInt16LE(value.refusal, offset + 14);
  writeBytes(buffer, offset + 16, value.bucket, 2042);
};

export const encodeServicePort = (value: ServicePort): Buffer => {
  const buffer = zeroed(2064);
  writeServicePort(buffer, 0, value);
  return buffer;
};

export const decodeServicePort = (buffer: Buffer, offset = 0): ServicePort => ({
  generation: readGeneration(buffer, offset),
  backends: buffer.readUInt32LE(offset + 8),
  affinity: buffer.readUInt16LE(offset + 12),
  refusal: buffer.readUInt16LE(offset + 14),
  bucket: readBytes(buffer, offset + 16, 2042),
});

export interface BackendKey {
  readonly service: ServicePortKey;
  readonly number: number;
}

export const backendKeySize = 28;

const writeBackendKey = (buffer: Buffer, offset: number, value: BackendKey): void => {
  writeServicePortKey(buffer, offset, value.service);
  buffer.writeUInt32LE(value.number, offset + 24);
};

export const encodeBackendKey = (value: BackendKey): Buffer => {
  const buffer = zeroed(28);
  writeBackendKey(buffer, 0, value);
  return buffer;
};

export const decodeBackendKey = (buffer: Buffer, offset = 0): BackendKey => ({
  service: decodeServicePortKey(buffer, offset),
  number: buffer.readUInt32LE(offset + 24),
});

export interface Backend {
  readonly ip: Uint8Array;
  readonly port: number;
  readonly generation: number;
}

export const backendSize = 32;

const writeBackend = (buffer: Buffer, offset: number, value: Backend): void => {
  writeBytes(buffer, offset, value.ip, 16);
  buffer.writeUInt16BE(value.port, offset + 16);
  writeGeneration(buffer, offset + 24, value.generation);
};

export const encodeBackend = (value: Backend): Buffer => {
  const buffer = zeroed(32);
  writeBackend(buffer, 0, value);
  return buffer;
};

export const decodeBackend = (buffer: Buffer, offset = 0): Backend => ({
  ip: readBytes(buffer, offset, 16),
  port: buffer.readUInt16BE(offset + 16),
  generation: readGeneration(buffer, offset + 24),
});

export interface DropKey {
  readonly vni: number;
  readonly verdict: Verdict;
}

export const dropKeySize = 8;

const writeDropKey = (buffer: Buffer, offset: number, value: DropKey): void => {
  buffer.writeUInt32LE(value.vni, offset);
  buffer.writeUInt32LE(value.verdict, offset + 4);
};

export const encodeDropKey = (value: DropKey): Buffer => {
  const buffer = zeroed(8);
  writeDropKey(buffer, 0, value);
  return buffer;
};

export const decodeDropKey = (buffer: Buffer, offset = 0): DropKey => ({
  vni: buffer.readUInt32LE(offset),
  verdict: buffer.readUInt32LE(offset + 4) as Verdict,
});

export interface Counter {
  readonly packets: bigint;
  readonly bytes: bigint;
}

export const counterSize = 16;

const writeCounter = (buffer: Buffer, offset: number, value: Counter): void => {
  buffer.writeBigUInt64LE(value.packets, offset);
  buffer.writeBigUInt64LE(value.bytes, offset + 8);
};

export const encodeCounter = (value: Counter): Buffer => {
  const buffer = zeroed(16);
  writeCounter(buffer, 0, value);
  return buffer;
};

export const decodeCounter = (buffer: Buffer, offset = 0): Counter => ({
  packets: buffer.readBigUInt64LE(offset),
  bytes: buffer.readBigUInt64LE(offset + 8),
});

export interface EndpointKey {
  readonly vni: number;
  readonly ip: Uint8Array;
}

export const endpointKeySize = 20;

const writeEndpointKey = (buffer: Buffer, offset: number, value: EndpointKey): void => {
  buffer.writeUInt32LE(value.vni, offset);
  writeBytes(buffer, offset + 4, value.ip, 16);
};

export const encodeEndpointKey = (value: EndpointKey): Buffer => {
  const buffer = zeroed(20);
  writeEndpointKey(buffer, 0, value);
  return buffer;
};

export const decodeEndpointKey = (buffer: Buffer, offset = 0): EndpointKey => ({
  vni: buffer.readUInt32LE(offset),
  ip: readBytes(buffer, offset + 4, 16),
});

export interface Path {
  readonly key: EndpointKey;
  readonly state: PathState;
  readonly host: Uint8Array;
  readonly asked: Uint8Array;
  readonly generation: number;
  readonly told_at: bigint;
  readonly asked_at: bigint;
  readonly checked_at: bigint;
  readonly live_at: bigint;
  readonly mac: Uint8Array;
  readonly asks: number;
}

export const pathSize = 104;

const writePath = (buffer: Buffer, offset: number, value: Path): void => {
  writeEndpointKey(buffer, offset, value.key);
  buffer.writeUInt32LE(value.state, offset + 20);
  writeBytes(buffer, offset + 24, value.host, 16);
  writeBytes(buffer, offset + 40, value.asked, 16);
  writeGeneration(buffer, offset + 56, value.generation);
  buffer.writeBigUInt64LE(value.told_at, offset + 64);
  buffer.writeBigUInt64LE(value.asked_at, offset + 72);
  buffer.writeBigUInt64LE(value.checked_at, offset + 80);
  buffer.writeBigUInt64LE(value.live_at, offset + 88);
  writeBytes(buffer, offset + 96, value.mac, 6);
  buffer.writeUInt8(value.asks, offset + 102);
};

export const encodePath = (value: Path): Buffer => {
  const buffer = zeroed(104);
  writePath(buffer, 0, value);
  return buffer;
};

export const decodePath = (buffer: Buffer, offset = 0): Path => ({
  key: decodeEndpointKey(buffer, offset),
  state: buffer.readUInt32LE(offset + 20) as PathState,
  host: readBytes(buffer, offset + 24, 16),
  asked: readBytes(buffer, offset + 40, 16),
  generation: readGeneration(buffer, offset + 56),
  told_at: buffer.readBigUInt64LE(offset + 64),
  asked_at: buffer.readBigUInt64LE(offset + 72),
  checked_at: buffer.readBigUInt64LE(offset + 80),
  live_at: buffer.readBigUInt64LE(offset + 88),
  mac: readBytes(buffer, offset + 96, 6),
  asks: buffer.readUInt8(offset + 102),
});

export interface Mapping {
  readonly host: Uint8Array;
  readonly generation: number;
  readonly mac: Uint8Array;
}

export const mappingSize = 32;

const writeMapping = (buffer: Buffer, offset: number, value: Mapping): void => {
  writeBytes(buffer, offset, value.host, 16);
  writeGeneration(buffer, offset + 16, value.generation);
  writeBytes(buffer, offset + 24, value.mac, 6);
};

export const encodeMapping = (value: Mapping): Buffer => {
  const buffer = zeroed(32);
  writeMapping(buffer, 0, value);
  return buffer;
};

export const decodeMapping = (buffer: Buffer, offset = 0): Mapping => ({
  host: readBytes(buffer, offset, 16),
  generation: readGeneration(buffer, offset + 16),
  mac: readBytes(buffer, offset + 24, 6),
});

export interface ServiceAddress {
  readonly generation: number;
  readonly mac: Uint8Array;
}

export const serviceAddressSize = 16;

const writeServiceAddress = (buffer: Buffer, offset: number, value: ServiceAddress): void => {
  writeGeneration(buffer, offset, value.generation);
  writeBytes(buffer, offset + 8, value.mac, 6);
};

export const encodeServiceAddress = (value: ServiceAddress): Buffer => {
  const buffer = zeroed(16);
  writeServiceAddress(buffer, 0, value);
  return buffer;
};

export const decodeServiceAddress = (buffer: Buffer, offset = 0): ServiceAddress => ({
  generation: readGeneration(buffer, offset),
  mac: readBytes(buffer, offset + 8, 6),
});

export interface PortKey {
  readonly ifindex: number;
}

export const portKeySize = 4;

const writePortKey = (buffer: Buffer, offset: number, value: PortKey): void => {
  buffer.writeUInt32LE(value.ifindex, offset);
};

export const encodePortKey = (value: PortKey): Buffer => {
  const buffer = zeroed(4);
  writePortKey(buffer, 0, value);
  return buffer;
};

export const decodePortKey = (buffer: Buffer, offset = 0): PortKey => ({
  ifindex: buffer.readUInt32LE(offset),
});

export interface Budget {
  readonly due: bigint;
  readonly error_due: bigint;
}

export const budgetSize = 16;

const writeBudget = (buffer: Buffer, offset: number, value: Budget): void => {
  buffer.writeBigUInt64LE(value.due, offset);
  buffer.writeBigUInt64LE(value.error_due, offset + 8);
};

export const encodeBudget = (value: Budget): Buffer => {
  const buffer = zeroed(16);
  writeBudget(buffer, 0, value);
  return buffer;
};

export const decodeBudget = (buffer: Buffer, offset = 0): Budget => ({
  due: buffer.readBigUInt64LE(offset),
  error_due: buffer.readBigUInt64LE(offset + 8),
});

export interface Quote {
  readonly bytes: Uint8Array;
}

export const quoteSize = 68;

const writeQuote = (buffer: Buffer, offset: number, value: Quote): void => {
  writeBytes(buffer, offset, value.bytes, 68);
};

export const encodeQuote = (value: Quote): Buffer => {
  const buffer = zeroed(68);
  writeQuote(buffer, 0, value);
  return buffer;
};

export const decodeQuote = (buffer: Buffer, offset = 0): Quote => ({
  bytes: readBytes(buffer, offset, 68),
});

export interface Quota {
  readonly pinned_at: bigint;
  readonly flows: number;
}

export const quotaSize = 16;

const writeQuota = (buffer: Buffer, offset: number, value: Quota): void => {
  buffer.writeBigUInt64LE(value.pinned_at, offset);
  buffer.writeUInt32LE(value.flows, offset + 8);
};

export const encodeQuota = (value: Quota): Buffer => {
  const buffer = zeroed(16);
  writeQuota(buffer, 0, value);
  return buffer;
};

export const decodeQuota = (buffer: Buffer, offset = 0): Quota => ({
  pinned_at: buffer.readBigUInt64LE(offset),
  flows: buffer.readUInt32LE(offset + 8),
});

export interface Flow {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly source_port: number;
  readonly destination_port: number;
  readonly state: FlowState;
  readonly ifindex: number;
  readonly pinned_at: bigint;
  readonly seen_at: bigint;
}

export const flowSize = 64;

const writeFlow = (buffer: Buffer, offset: number, value: Flow): void => {
  writeBytes(buffer, offset, value.source, 16);
  writeBytes(buffer, offset + 16, value.destination, 16);
  buffer.writeUInt16BE(value.source_port, offset + 32);
  buffer.writeUInt16BE(value.destination_port, offset + 34);
  buffer.writeUInt32LE(value.state, offset + 36);
  buffer.writeUInt32LE(value.ifindex, offset + 40);
  buffer.writeBigUInt64LE(value.pinned_at, offset + 48);
  buffer.writeBigUInt64LE(value.seen_at, offset + 56);
};

export const encodeFlow = (value: Flow): Buffer => {
  const buffer = zeroed(64);
  writeFlow(buffer, 0, value);
  return buffer;
};

export const decodeFlow = (buffer: Buffer, offset = 0): Flow => ({
  source: readBytes(buffer, offset, 16),
  destination: readBytes(buffer, offset + 16, 16),
  source_port: buffer.readUInt16BE(offset + 32),
  destination_port: buffer.readUInt16BE(offset + 34),
  state: buffer.readUInt32LE(offset + 36) as FlowState,
  ifindex: buffer.readUInt32LE(offset + 40),
  pinned_at: buffer.readBigUInt64LE(offset + 48),
  seen_at: buffer.readBigUInt64LE(offset + 56),
});

export interface FlowKey {
  readonly vni: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly source_port: number;
  readonly destination_port: number;
  readonly protocol: number;
}

export const flowKeySize = 44;

const writeFlowKey = (buffer: Buffer, offset: number, value: FlowKey): void => {
  buffer.writeUInt32LE(value.vni, offset);
  writeBytes(buffer, offset + 4, value.source, 16);
  writeBytes(buffer, offset + 20, value.destination, 16);
  buffer.writeUInt16BE(value.source_port, offset + 36);
  buffer.writeUInt16BE(value.destination_port, offset + 38);
  buffer.writeUInt8(value.protocol, offset + 40);
};

export const encodeFlowKey = (value: FlowKey): Buffer => {
  const buffer = zeroed(44);
  writeFlowKey(buffer, 0, value);
  return buffer;
};

export const decodeFlowKey = (buffer: Buffer, offset = 0): FlowKey => ({
  vni: buffer.readUInt32LE(offset),
  source: readBytes(buffer, offset + 4, 16),
  destination: readBytes(buffer, offset + 20, 16),
  source_port: buffer.readUInt16BE(offset + 36),
  destination_port: buffer.readUInt16BE(offset + 38),
  protocol: buffer.readUInt8(offset + 40),
});

export interface OuterBytes {
  readonly bytes: Uint8Array;
}

export const outerBytesSize = 96;

const writeOuterBytes = (buffer: Buffer, offset: number, value: OuterBytes): void => {
  writeBytes(buffer, offset, value.bytes, 96);
};

export const encodeOuterBytes = (value: OuterBytes): Buffer => {
  const buffer = zeroed(96);
  writeOuterBytes(buffer, 0, value);
  return buffer;
};

export const decodeOuterBytes = (buffer: Buffer, offset = 0): OuterBytes => ({
  bytes: readBytes(buffer, offset, 96),
});

export interface NoticeKey {
  readonly asker: Uint8Array;
  readonly about: EndpointKey;
}

export const noticeKeySize = 36;

const writeNoticeKey = (buffer: Buffer, offset: number, value: NoticeKey): void => {
  writeBytes(buffer, offset, value.asker, 16);
  writeEndpointKey(buffer, offset + 16, value.about);
};

export const encodeNoticeKey = (value: NoticeKey): Buffer => {
  const buffer = zeroed(36);
  writeNoticeKey(buffer, 0, value);
  return buffer;
};

export const decodeNoticeKey = (buffer: Buffer, offset = 0): NoticeKey => ({
  asker: readBytes(buffer, offset, 16),
  about: decodeEndpointKey(buffer, offset + 16),
});

export interface Notice {
  readonly sent_at: bigint;
}

export const noticeSize = 8;

const writeNotice = (buffer: Buffer, offset: number, value: Notice): void => {
  buffer.writeBigUInt64LE(value.sent_at, offset);
};

export const encodeNotice = (value: Notice): Buffer => {
  const buffer = zeroed(8);
  writeNotice(buffer, 0, value);
  return buffer;
};

export const decodeNotice = (buffer: Buffer, offset = 0): Notice => ({
  sent_at: buffer.readBigUInt64LE(offset),
});

export interface Reach {
  readonly ip: Uint8Array;
  readonly gateway: Uint8Array;
  readonly network: Uint8Array;
  readonly mask: Uint8Array;
}

export const reachSize = 64;

const writeReach = (buffer: Buffer, offset: number, value: Reach): void => {
  writeBytes(buffer, offset, value.ip, 16);
  writeBytes(buffer, offset + 16, value.gateway, 16);
  writeBytes(buffer, offset + 32, value.network, 16);
  writeBytes(buffer, offset + 48, value.mask, 16);
};

export const encodeReach = (value: Reach): Buffer => {
  const buffer = zeroed(64);
  writeReach(buffer, 0, value);
  return buffer;
};

export const decodeReach = (buffer: Buffer, offset = 0): Reach => ({
  ip: readBytes(buffer, offset, 16),
  gateway: readBytes(buffer, offset + 16, 16),
  network: readBytes(buffer, offset + 32, 16),
  mask: readBytes(buffer, offset + 48, 16),
});

export interface Port {
  readonly vni: number;
  readonly subnet: number;
  readonly ip4: Reach;
  readonly ip6: Reach;
  readonly generation: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
}

export const portSize = 152;

const writePort = (buffer: Buffer, offset: number, value: Port): void => {
  buffer.writeUInt32LE(value.vni, offset);
  buffer.writeUInt32LE(value.subnet, offset + 4);
  writeReach(buffer, offset + 8, value.ip4);
  writeReach(buffer, offset + 72, value.ip6);
  writeGeneration(buffer, offset + 136, value.generation);
  writeBytes(buffer, offset + 144, value.mac, 6);
  buffer.writeUInt16LE(value.mtu, offset + 150);
};

export const encodePort = (value: Port): Buffer => {
  const buffer = zeroed(152);
  writePort(buffer, 0, value);
  return buffer;
};

export const decodePort = (buffer: Buffer, offset = 0): Port => ({
  vni: buffer.readUInt32LE(offset),
  subnet: buffer.readUInt32LE(offset + 4),
  ip4: decodeReach(buffer, offset + 8),
  ip6: decodeReach(buffer, offset + 72),
  generation: readGeneration(buffer, offset + 136),
  mac: readBytes(buffer, offset + 144, 6),
  mtu: buffer.readUInt16LE(offset + 150),
});

export interface Endpoint {
  readonly ifindex: number;
  readonly flags: number;
  readonly generation: number;
  readonly mac: Uint8Array;
}

export const endpointSize = 24;

const writeEndpoint = (buffer: Buffer, offset: number, value: Endpoint): void => {
  buffer.writeUInt32LE(value.ifindex, offset);
  buffer.writeUInt32LE(value.flags, offset + 4);
  writeGeneration(buffer, offset + 8, value.generation);
  writeBytes(buffer, offset + 16, value.mac, 6);
};

export const encodeEndpoint = (value: Endpoint): Buffer => {
  const buffer = zeroed(24);
  writeEndpoint(buffer, 0, value);
  return buffer;
};

export const decodeEndpoint = (buffer: Buffer, offset = 0): Endpoint => ({
  ifindex: buffer.readUInt32LE(offset),
  flags: buffer.readUInt32LE(offset + 4),
  generation: readGeneration(buffer, offset + 8),
  mac: readBytes(buffer, offset + 16, 6),
});

export interface SlotKey {
  readonly vni: number;
  readonly subnet: number;
  readonly slot: number;
}

export const slotKeySize = 12;

const writeSlotKey = (buffer: Buffer, offset: number, value: SlotKey): void => {
  buffer.writeUInt32LE(value.vni, offset);
  buffer.writeUInt32LE(value.subnet, offset + 4);
  buffer.writeUInt32LE(value.slot, offset + 8);
};

export const encodeSlotKey = (value: SlotKey): Buffer => {
  const buffer = zeroed(12);
  writeSlotKey(buffer, 0, value);
  return buffer;
};

export const decodeSlotKey = (buffer: Buffer, offset = 0): SlotKey => ({
  vni: buffer.readUInt32LE(offset),
  subnet: buffer.readUInt32LE(offset + 4),
  slot: buffer.readUInt32LE(offset + 8),
});

export interface SlotOwners {
  readonly primary: Uint8Array;
  readonly secondary: Uint8Array;
  readonly epoch: number;
  readonly generation: number;
}

export const slotOwnersSize = 48;

const writeSlotOwners = (buffer: Buffer, offset: number, value: SlotOwners): void => {
  writeBytes(buffer, offset, value.primary, 16);
  writeBytes(buffer, offset + 16, value.secondary, 16);
  buffer.writeUInt32LE(value.epoch, offset + 32);
  writeGeneration(buffer, offset + 40, value.generation);
};

export const encodeSlotOwners = (value: SlotOwners): Buffer => {
  const buffer = zeroed(48);
  writeSlotOwners(buffer, 0, value);
  return buffer;
};

export const decodeSlotOwners = (buffer: Buffer, offset = 0): SlotOwners => ({
  primary: readBytes(buffer, offset, 16),
  secondary: readBytes(buffer, offset + 16, 16),
  epoch: buffer.readUInt32LE(offset + 32),
  generation: readGeneration(buffer, offset + 40),
});

export interface Holding {
  readonly state: HoldingState;
  readonly epoch: number;
  readonly generation: number;
}

export const holdingSize = 16;

const writeHolding = (buffer: Buffer, offset: number, value: Holding): void => {
  buffer.writeUInt32LE(value.state, offset);
  buffer.writeUInt32LE(value.epoch, offset + 4);
  writeGeneration(buffer, offset + 8, value.generation);
};

export const encodeHolding = (value: Holding): Buffer => {
  const buffer = zeroed(16);
  writeHolding(buffer, 0, value);
  return buffer;
};

export const decodeHolding = (buffer: Buffer, offset = 0): Holding => ({
  state: buffer.readUInt32LE(offset) as HoldingState,
  epoch: buffer.readUInt32LE(offset + 4),
  generation: readGeneration(buffer, offset + 8),
});

export interface RouteKey {
  readonly length: number;
  readonly vni: number;
  readonly address: Uint8Array;
}

export const routeKeySize = 24;

const writeRouteKey = (buffer: Buffer, offset: number, value: RouteKey): void => {
  buffer.writeUInt32LE(value.length, offset);
  buffer.writeUInt32LE(value.vni, offset + 4);
  writeBytes(buffer, offset + 8, value.address, 16);
};

export const encodeRouteKey = (value: RouteKey): Buffer => {
  const buffer = zeroed(24);
  writeRouteKey(buffer, 0, value);
  return buffer;
};

export const decodeRouteKey = (buffer: Buffer, offset = 0): RouteKey => ({
  length: buffer.readUInt32LE(offset),
  vni: buffer.readUInt32LE(offset + 4),
  address: readBytes(buffer, offset + 8, 16),
});

export interface Route {
  readonly subnet: number;
  readonly generation: number;
}

export const routeSize = 16;

const writeRoute = (buffer: Buffer, offset: number, value: Route): void => {
  buffer.writeUInt32LE(value.subnet, offset);
  writeGeneration(buffer, offset + 8, value.generation);
};

export const encodeRoute = (value: Route): Buffer => {
  const buffer = zeroed(16);
  writeRoute(buffer, 0, value);
  return buffer;
};

export const decodeRoute = (buffer: Buffer, offset = 0): Route => ({
  subnet: buffer.readUInt32LE(offset),
  generation: readGeneration(buffer, offset + 8),
});

export interface Tombstone {
  readonly host: Uint8Array;
  readonly generation: number;
  readonly until: bigint;
}

export const tombstoneSize = 32;

const writeTombstone = (buffer: Buffer, offset: number, value: Tombstone): void => {
  writeBytes(buffer, offset, value.host, 16);
  writeGeneration(buffer, offset + 16, value.generation);
  buffer.writeBigUInt64LE(value.until, offset + 24);
};

export const encodeTombstone = (value: Tombstone): Buffer => {
  const buffer = zeroed(32);
  writeTombstone(buffer, 0, value);
  return buffer;
};

export const decodeTombstone = (buffer: Buffer, offset = 0): Tombstone => ({
  host: readBytes(buffer, offset, 16),
  generation: readGeneration(buffer, offset + 16),
  until: buffer.readBigUInt64LE(offset + 24),
});

export interface NextHop {
  readonly ifindex: number;
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
}

export const nextHopSize = 16;

const writeNextHop = (buffer: Buffer, offset: number, value: NextHop): void => {
  buffer.writeUInt32LE(value.ifindex, offset);
  writeBytes(buffer, offset + 4, value.destination, 6);
  writeBytes(buffer, offset + 10, value.source, 6);
};

export const encodeNextHop = (value: NextHop): Buffer => {
  const buffer = zeroed(16);
  writeNextHop(buffer, 0, value);
  return buffer;
};

export const decodeNextHop = (buffer: Buffer, offset = 0): NextHop => ({
  ifindex: buffer.readUInt32LE(offset),
  destination: readBytes(buffer, offset + 4, 6),
  source: readBytes(buffer, offset + 10, 6),
});

export interface NetworkKey {
  readonly vni: number;
}

export const networkKeySize = 4;

const writeNetworkKey = (buffer: Buffer, offset: number, value: NetworkKey): void => {
  buffer.writeUInt32LE(value.vni, offset);
};

export const encodeNetworkKey = (value: NetworkKey): Buffer => {
  const buffer = zeroed(4);
  writeNetworkKey(buffer, 0, value);
  return buffer;
};

export const decodeNetworkKey = (buffer: Buffer, offset = 0): NetworkKey => ({
  vni: buffer.readUInt32LE(offset),
});

export interface Network {
  readonly generation: number;
}

export const networkSize = 8;

const writeNetwork = (buffer: Buffer, offset: number, value: Network): void => {
  writeGeneration(buffer, offset, value.generation);
};

export const encodeNetwork = (value: Network): Buffer => {
  const buffer = zeroed(8);
  writeNetwork(buffer, 0, value);
  return buffer;
};

export const decodeNetwork = (buffer: Buffer, offset = 0): Network => ({
  generation: readGeneration(buffer, offset),
});

export interface PrefixKey {
  readonly length: number;
  readonly address: Uint8Array;
}

export const prefixKeySize = 20;

const writePrefixKey = (buffer: Buffer, offset: number, value: PrefixKey): void => {
  buffer.writeUInt32LE(value.length, offset);
  writeBytes(buffer, offset + 4, value.address, 16);
};

export const encodePrefixKey = (value: PrefixKey): Buffer => {
  const buffer = zeroed(20);
  writePrefixKey(buffer, 0, value);
  return buffer;
};

export const decodePrefixKey = (buffer: Buffer, offset = 0): PrefixKey => ({
  length: buffer.readUInt32LE(offset),
  address: readBytes(buffer, offset + 4, 16),
});

export interface Prefix {
  readonly accepted: number;
}

export const prefixSize = 4;

const writePrefix = (buffer: Buffer, offset: number, value: Prefix): void => {
  buffer.writeUInt32LE(value.accepted, offset);
};

export const encodePrefix = (value: Prefix): Buffer => {
  const buffer = zeroed(4);
  writePrefix(buffer, 0, value);
  return buffer;
};

export const decodePrefix = (buffer: Buffer, offset = 0): Prefix => ({
  accepted: buffer.readUInt32LE(offset),
});

export interface Config {
  readonly self: Uint8Array;
  readonly onlink_network: Uint8Array;
  readonly onlink_mask: Uint8Array;
  readonly secret: Uint8Array;
  readonly soft_lease_ns: bigint;
  readonly hard_lease_ns: bigint;
  readonly check_ns: bigint;
  readonly retry_ns: bigint;
  readonly negative_ns: bigint;
  readonly ask_interval_ns: bigint;
  readonly ask_burst_ns: bigint;
  readonly nic: number;
}

export const configSize = 128;

const writeConfig = (buffer: Buffer, offset: number, value: Config): void => {
  writeBytes(buffer, offset, value.self, 16);
  writeBytes(buffer, offset + 16, value.onlink_network, 16);
  writeBytes(buffer, offset + 32, value.onlink_mask, 16);
  writeBytes(buffer, offset + 48, value.secret, 16);
  buffer.writeBigUInt64LE(value.soft_lease_ns, offset + 64);
  buffer.writeBigUInt64LE(value.hard_lease_ns, offset + 72);
  buffer.writeBigUInt64LE(value.check_ns, offset + 80);
  buffer.writeBigUInt64LE(value.retry_ns, offset + 88);
  buffer.writeBigUInt64LE(value.negative_ns, offset + 96);
  buffer.writeBigUInt64LE(value.ask_interval_ns, offset + 104);
  buffer.writeBigUInt64LE(value.ask_burst_ns, offset + 112);
  buffer.writeUInt32LE(value.nic, offset + 120);
};

export const encodeConfig = (value: Config): Buffer => {
  const buffer = zeroed(128);
  writeConfig(buffer, 0, value);
  return buffer;
};

export const decodeConfig = (buffer: Buffer, offset = 0): Config => ({
  self: readBytes(buffer, offset, 16),
  onlink_network: readBytes(buffer, offset + 16, 16),
  onlink_mask: readBytes(buffer, offset + 32, 16),
  secret: readBytes(buffer, offset + 48, 16),
  soft_lease_ns: buffer.readBigUInt64LE(offset + 64),
  hard_lease_ns: buffer.readBigUInt64LE(offset + 72),
  check_ns: buffer.readBigUInt64LE(offset + 80),
  retry_ns: buffer.readBigUInt64LE(offset + 88),
  negative_ns: buffer.readBigUInt64LE(offset + 96),
  ask_interval_ns: buffer.readBigUInt64LE(offset + 104),
  ask_burst_ns: buffer.readBigUInt64LE(offset + 112),
  nic: buffer.readUInt32LE(offset + 120),
});

export interface Attachment {
  readonly until: bigint;
}

export const attachmentSize = 8;

const writeAttachment = (buffer: Buffer, offset: number, value: Attachment): void => {
  buffer.writeBigUInt64LE(value.until, offset);
};

export const encodeAttachment = (value: Attachment): Buffer => {
  const buffer = zeroed(8);
  writeAttachment(buffer, 0, value);
  return buffer;
};

export const decodeAttachment = (buffer: Buffer, offset = 0): Attachment => ({
  until: buffer.readBigUInt64LE(offset),
});

export interface Traffic {
  readonly sent: Counter;
  readonly received: Counter;
}

export const trafficSize = 32;

const writeTraffic = (buffer: Buffer, offset: number, value: Traffic): void => {
  writeCounter(buffer, offset, value.sent);
  writeCounter(buffer, offset + 16, value.received);
};

export const encodeTraffic = (value: Traffic): Buffer => {
  const buffer = zeroed(32);
  writeTraffic(buffer, 0, value);
  return buffer;
};

export const decodeTraffic = (buffer: Buffer, offset = 0): Traffic => ({
  sent: decodeCounter(buffer, offset),
  received: decodeCounter(buffer, offset + 16),
});
