/** What packets say: frames of tenants, tunnel packets of the underlay, and the path option (design §3, bpf/wire.h). */
import type { VerdictWord } from '@megrez/abi';
import { type Address, checksum, ip4At, ip6At, isMapped, zero } from './bytes';
import { type Config, longest, type State } from './state';

export const ETHERNET = 14;
export const IP4 = 20;
/** Ethernet, IPv4, UDP and the Geneve header: before the options of a tunnel packet. */
export const TUNNEL = ETHERNET + IP4 + 8 + 8;
export const ARP = 28;
export const IP6 = 40;
/** A solicitation or advertisement without options. */
export const NEIGHBOUR = 24;
export const icmp6 = 58;
/** The path option with its own header. */
export const OPTION = 44;
const genevePort = 6081;
const optionClass = 0xff4d;
const optionsMax = 4;

/** Of every gateway, seen from its endpoints. */
export const gatewayMac = Buffer.from([0x02, 0x4d, 0x67, 0x77, 0x00, 0x01]);

export const op = { ask: 1, tell: 2, none: 3, gone: 4, pin: 5, echo: 6 } as const;

export interface Frame {
  readonly family: 'ip4' | 'ip6' | 'arp';
  /** Who has this address? He who says so; or data. */
  readonly kind: 'request' | 'reply' | 'packet';
  readonly destinationMac: Buffer;
  readonly sourceMac: Buffer;
  /** Of a request or reply: who sends it. */
  readonly source: Address;
  /** Of a request: the address asked for; of a reply: who asked. */
  readonly destination: Address;
  readonly tos: number;
  readonly ttl: number;
  readonly protocol: number;
}

export type Parsed<T> = T | VerdictWord;

type Body = Omit<Frame, 'destinationMac' | 'sourceMac'>;

/** A tenant's frame at `at` to the packet's end. */
export const frameOf = (packet: Buffer, at: number): Parsed<Frame> => {
  if (packet.length < at + ETHERNET) return 'malformed';
  const body = bodyOf(packet, at + ETHERNET, packet.readUInt16BE(at + 12));
  if (typeof body === 'string') return body;
  return { ...body, destinationMac: packet.subarray(at, at + 6), sourceMac: packet.subarray(at + 6, at + 12) };
};

const bodyOf = (packet: Buffer, at: number, type: number): Parsed<Body> => {
  switch (type) {
    case 0x0800:
      return ip4Of(packet, at);
    case 0x0806:
      return arpOf(packet, at);
    case 0x86dd:
      return ip6Of(packet, at);
    case 0x8100:
    case 0x88a8:
      return 'vlan';
    default:
      return 'ethertype';
  }
};

const ip4Of = (packet: Buffer, at: number): Parsed<Body> => {
  if (packet.length < at + IP4) return 'malformed';
  const header = (packet.readUInt8(at) & 15) * 4;
  const total = packet.readUInt16BE(at + 2);
  if (packet.readUInt8(at) >> 4 !== 4 || header < IP4 || total < header || at + total > packet.length)
    return 'malformed';
  return {
    family: 'ip4',
    kind: 'packet',
    source: ip4At(packet, at + 12),
    destination: ip4At(packet, at + 16),
    tos: packet.readUInt8(at + 1),
    ttl: packet.readUInt8(at + 8),
    protocol: packet.readUInt8(at + 9),
  };
};

const arpOf = (packet: Buffer, at: number): Parsed<Body> => {
  if (packet.length < at + ARP) return 'malformed';
  const operation = packet.readUInt16BE(at + 6);
  // Ethernet and IPv4, with their lengths.
  if (packet.toString('hex', at, at + 6) !== '000108000604' || operation < 1 || operation > 2) return 'malformed';
  return {
    family: 'arp',
    kind: operation === 1 ? 'request' : 'reply',
    source: ip4At(packet, at + 14),
    destination: ip4At(packet, at + 24),
    tos: 0,
    ttl: 0,
    protocol: 0,
  };
};

const ip6Of = (packet: Buffer, at: number): Parsed<Body> => {
  if (packet.length < at + IP6 || packet.readUInt8(at) >> 4 !== 6) return 'malformed';
  const size = packet.readUInt16BE(at + 4);
  const [source, destination] = [ip6At(packet, at + 8), ip6At(packet, at + 24)];
  // IPv4-mapped addresses are no real IPv6.
  if (at + IP6 + size > packet.length || isMapped(source) || isMapped(destination)) return 'malformed';
  const data: Body = {
    family: 'ip6',
    kind: 'packet',
    source,
    destination,
    tos: (packet.readUInt16BE(at) >> 4) & 0xff,
    ttl: packet.readUInt8(at + 7),
    protocol: packet.readUInt8(at + 6),
  };
  return data.protocol === icmp6 && size >= 8 ? neighbourOf(packet, at + IP6, size, data) : data;
};

/** Neighbour discovery (RFC 4861) is ARP's part; other ICMPv6 is data. */
const neighbourOf = (packet: Buffer, at: number, size: number, data: Body): Parsed<Body> => {
  const type = packet.readUInt8(at);
  if ((type !== 135 && type !== 136) || packet.length < at + NEIGHBOUR) return data;
  if (data.ttl !== 255 || packet.readUInt8(at + 1) !== 0 || size < NEIGHBOUR) return 'malformed';
  const target = ip6At(packet, at + 8);
  if (type === 136) return { ...data, kind: 'reply', source: target };
  // With the asker's link-layer address, or nothing; duplicate address detection is never answered anyway.
  const isPlain = size === NEIGHBOUR || size === NEIGHBOUR + 8 || data.source === zero;
  return isPlain ? { ...data, kind: 'request', destination: target } : 'malformed';
};

export interface Tunnel {
  readonly source: Address;
  readonly vni: number;
  /** Congestion was met on the way. */
  readonly congested: boolean;
  /** Where the path option is, if there is one. */
  readonly option: number | undefined;
  /** Where the inner frame is. */
  readonly inner: number;
}

/** What ends a packet before its tunnel is known, and the VNI it is counted for: 0 when not even that is. */
export interface Refused {
  readonly verdict: VerdictWord;
  readonly vni: number;
}

/** The outer headers of a packet of the underlay: 'pass' when it is not ours. */
export const tunnelOf = (packet: Buffer, config: Config): Tunnel | Refused => {
  const refused = checkOuter(packet, config);
  if (refused) return { verdict: refused, vni: 0 };
  const vni = packet.readUIntBE(46, 3);
  const options = optionsOf(packet, (packet.readUInt8(42) & 0x3f) * 4);
  if (typeof options === 'string') return { verdict: options, vni };
  return { source: ip4At(packet, 26), vni, congested: (packet.readUInt8(15) & 3) === 3, ...options };
};

const checkOuter = (packet: Buffer, config: Config): VerdictWord | undefined => {
  if (packet.length < TUNNEL || packet.readUInt16BE(12) !== 0x0800) return 'pass';
  // IPv4 without options or fragments, UDP, our port, for this host; Geneve's version 0 with Ethernet inside.
  if (packet[14] !== 0x45 || packet[23] !== 17 || packet.readUInt16BE(20) & 0x3fff) return 'pass';
  if (packet.readUInt16BE(36) !== genevePort || ip4At(packet, 30) !== config.self) return 'pass';
  if (packet.readUInt8(42) >> 6 || packet.readUInt16BE(44) !== 0x6558) return 'pass';
  const total = packet.readUInt16BE(16);
  if (ETHERNET + total > packet.length || ETHERNET + total < TUNNEL) return 'malformed';
  return packet.readUInt16BE(38) !== total - IP4 || checksum(packet, 14, 34) ? 'malformed' : undefined;
};

/** TLVs: of another class they are somebody else's; what is critical and unknown ends the packet. */
const optionsOf = (packet: Buffer, bytes: number): Parsed<Pick<Tunnel, 'option' | 'inner'>> => {
  const end = TUNNEL + bytes;
  let option: number | undefined;
  let at = TUNNEL;
  for (let count = 0; at < end; count++) {
    if (count === optionsMax) return 'bad_option';
    if (packet.length < at + 4) return 'malformed';
    if (packet.readUInt16BE(at) !== optionClass) return 'pass';
    const type = packet.readUInt8(at + 2);
    const size = 4 + (packet.readUInt8(at + 3) & 31) * 4;
    if (at + size > end) return 'bad_option';
    if (type === 0x81) {
      if (size !== OPTION || option !== undefined) return 'bad_option';
      option = at;
    } else if (type & 0x80) return 'unknown_option';
    at += size;
  }
  return { option, inner: end };
};

/** Only hosts inside the underlay prefixes are heard. */
export const isUnderlay = (state: State, host: Address): boolean => longest(state.underlay, 0, host) ?? false;

export interface Question {
  readonly vni: number;
  readonly ip: Address;
  readonly asker: Address;
  /** 0: a divider is asked. */
  readonly subnet: number;
  readonly epoch: number;
  readonly flags: number;
  readonly hops: number;
  readonly cookie: bigint;
}

/** ASK: its host is the sender itself, unless it was passed on; then it is at least a host of ours. */
export const questionOf = (state: State, packet: Buffer, tunnel: Tunnel, at: number, ip: Address): Parsed<Question> => {
  const asker = ip4At(packet, at + 32);
  const hops = packet.readUInt8(at + 5);
  if (hops === 0 ? asker !== tunnel.source : !isUnderlay(state, asker)) return 'forged_host';
  return {
    vni: tunnel.vni,
    ip,
    asker,
    hops,
    flags: packet.readUInt16BE(at + 6),
    epoch: packet.readUInt32BE(at + 8),
    subnet: packet.readUInt32BE(at + 12),
    cookie: packet.readBigUInt64BE(at + 16),
  };
};
