/** Packets by the byte: every builder returns a whole header with its payload, lengths and checksums filled in. */
import { parseAddress, parseMac } from '@megrez/model';

const ip4 = (text: string): Uint8Array => parseAddress(text).subarray(12);

/** Of the Internet protocols (RFC 1071). */
export const checksum = (bytes: Uint8Array): number => {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
};

const u16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const u32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
};
const u64 = (value: bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
};

export const ethertype = { ip4: 0x0800, arp: 0x0806, ip6: 0x86dd, vlan: 0x8100 } as const;
export const broadcastMac = 'ff:ff:ff:ff:ff:ff';
export const zeroMac = '00:00:00:00:00:00';

export const ethernet = (from: string, to: string, type: number, payload: Uint8Array): Buffer =>
  Buffer.concat([parseMacOrBroadcast(to), parseMacOrBroadcast(from), u16(type), payload]);

const parseMacOrBroadcast = (text: string): Uint8Array =>
  /^(ff|33|01)/.test(text) || text === '00:00:00:00:00:00'
    ? Buffer.from(text.split(':').map((byte) => Number.parseInt(byte, 16)))
    : parseMac(text);

export interface Arp {
  readonly operation: 1 | 2;
  readonly senderMac: string;
  readonly sender: string;
  readonly targetMac: string;
  readonly target: string;
}

export const arp = ({ operation, senderMac, sender, targetMac, target }: Arp): Buffer =>
  Buffer.concat([
    u16(1),
    u16(ethertype.ip4),
    Buffer.from([6, 4]),
    u16(operation),
    parseMacOrBroadcast(senderMac),
    ip4(sender),
    parseMacOrBroadcast(targetMac),
    ip4(target),
  ]);

export interface Ip4 {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** Flags and offset as on the wire; 0x4000 is "don't fragment". */
  readonly fragment?: number;
  readonly options?: Uint8Array;
  /** What the header says, when that is not the truth. */
  readonly length?: number;
  readonly headerWords?: number;
}

export const ip = (packet: Ip4): Buffer => {
  const options = packet.options ?? Buffer.alloc(0);
  const words = 5 + options.length / 4;
  const header = Buffer.concat([
    Buffer.from([0x40 | (packet.headerWords ?? words), packet.tos ?? 0]),
    u16(packet.length ?? words * 4 + packet.payload.length),
    u16(packet.id ?? 0),
    u16(packet.fragment ?? 0),
    Buffer.from([packet.ttl ?? 64, packet.protocol, 0, 0]),
    ip4(packet.from),
    ip4(packet.to),
    options,
  ]);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, packet.payload]);
};

export const udp = (from: number, to: number, payload: Uint8Array, length = 8 + payload.length): Buffer =>
  Buffer.concat([u16(from), u16(to), u16(length), u16(0), payload]);

export const icmpEcho = (type: 0 | 8, payload: Uint8Array): Buffer => {
  const message = Buffer.concat([Buffer.from([type, 0, 0, 0]), u16(7), u16(1), payload]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
};

export interface PathOption {
  readonly op: number;
  readonly hops?: number;
  readonly flags?: number;
  readonly epoch?: number;
  readonly subnet?: number;
  readonly cookie?: bigint;
  readonly generation?: number;
  readonly host: string;
  readonly mac?: string;
}

export const op = { ask: 1, tell: 2, none: 3, gone: 4, pin: 5, echo: 6 } as const;
export const flag = { second: 1, twin: 2, answer: 4, service: 8 } as const;

export const option = (type: number, body: Uint8Array, optionClass = 0xff4d): Buffer =>
  Buffer.concat([u16(optionClass), Buffer.from([type, body.length / 4]), body]);

export const path = (fields: PathOption): Buffer =>
  option(
    0x81,
    Buffer.concat([
      Buffer.from([fields.op, fields.hops ?? 0]),
      u16(fields.flags ?? 0),
      u32(fields.epoch ?? 0),
      u32(fields.subnet ?? 0),
      u64(fields.cookie ?? 0n),
      u64(BigInt(fields.generation ?? 0)),
      ip4(fields.host),
      parseMacOrBroadcast(fields.mac ?? '00:00:00:00:00:00'),
      u16(0),
    ]),
  );

export interface Geneve {
  readonly vni: number;
  readonly options?: Uint8Array;
  readonly version?: number;
  readonly protocol?: number;
  /** What the header says of the options' length in words, when that is not the truth. */
  readonly optionWords?: number;
  readonly inner: Uint8Array;
}

export const geneve = ({ vni, options = Buffer.alloc(0), inner, ...header }: Geneve): Buffer =>
  Buffer.concat([
    Buffer.from([((header.version ?? 0) << 6) | (header.optionWords ?? options.length / 4), options.length ? 0x40 : 0]),
    u16(header.protocol ?? 0x6558),
    u32(vni << 8),
    options,
    inner,
  ]);

export interface Outer extends Geneve {
  readonly fromMac: string;
  readonly toMac: string;
  readonly from: string;
  readonly to: string;
  readonly sourcePort?: number;
  readonly tos?: number;
  readonly ttl?: number;
}

/** A whole packet of the underlay. */
export const tunnel = (outer: Outer): Buffer =>
  ethernet(
    outer.fromMac,
    outer.toMac,
    ethertype.ip4,
    ip({
      from: outer.from,
      to: outer.to,
      protocol: 17,
      fragment: 0x4000,
      tos: outer.tos ?? 0,
      ttl: outer.ttl ?? 64,
      payload: udp(outer.sourcePort ?? 50_000, 6081, geneve(outer)),
    }),
  );

/** An error to a tenant: what its gateway says of the packet that is quoted. */
export const icmpError = (type: number, code: number, mtu: number, quote: Uint8Array): Buffer => {
  const message = Buffer.concat([Buffer.from([type, code, 0, 0]), u16(0), u16(mtu), quote]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
};

const mix = (hash: number, value: number): number => {
  const mixed = Math.imul(hash ^ value, 0x9e3779b1) >>> 0;
  return (mixed ^ (mixed >>> 15)) >>> 0;
};

/** Source port the datapath gives a flow; the words are read as the program reads them, in the machine's order. */
export const flowPort = (packet: Buffer): number => {
  const header = (packet[0] ?? 0) & 0x0f;
  const protocol = packet[9] ?? 0;
  let hash = mix(mix(mix(0, packet.readUInt32LE(12)), packet.readUInt32LE(16)), protocol);
  const fragment = packet.readUInt16BE(6) & 0x3fff;
  if (fragment === 0 && (protocol === 6 || protocol === 17)) hash = mix(hash, packet.readUInt32LE(header * 4));
  return 0xc000 | (hash & 0x3fff);
};

export const askPort = (vni: number, host: string): number =>
  0xc000 | (mix(vni, Buffer.from(ip4(host)).readUInt32LE(0)) & 0x3fff);

/** Of a notice for an asker that is not the neighbour the packet came from. */
export const noticePort = (about: string): number => 0xc000 | (Buffer.from(ip4(about)).readUInt32LE(0) & 0x3fff);
