/** What packets say: frames of tenants, tunnel packets of the underlay, and the path option (design §3, bpf/wire.h). */
import type { VerdictWord } from '@megrez/abi';
import { type Address, checksum, ip4At } from './bytes';
import { type Config, longest, type State } from './state';

export const ETHERNET = 14;
export const IP4 = 20;
/** Ethernet, IPv4, UDP and the Geneve header: before the options of a tunnel packet. */
export const TUNNEL = ETHERNET + IP4 + 8 + 8;
export const ARP = 28;
/** The path option with its own header. */
export const OPTION = 44;
const genevePort = 6081;
const optionClass = 0xff4d;
const optionsMax = 4;

/** Of every gateway, seen from its endpoints. */
export const gatewayMac = Buffer.from([0x02, 0x4d, 0x67, 0x77, 0x00, 0x01]);

export const op = { ask: 1, tell: 2, none: 3, gone: 4, pin: 5, echo: 6 } as const;

export interface Frame {
  readonly kind: 'ip4' | 'arp';
  readonly destinationMac: Buffer;
  readonly sourceMac: Buffer;
  /** Of ARP: the sender. */
  readonly source: Address;
  /** Of ARP: the target. */
  readonly destination: Address;
  /** Of ARP: 1 request, 2 reply. */
  readonly operation: number;
  readonly tos: number;
  readonly ttl: number;
  readonly protocol: number;
}

export type Parsed<T> = T | VerdictWord;

/** A tenant's frame at `at` to the packet's end. */
export const frameOf = (packet: Buffer, at: number): Parsed<Frame> => {
  if (packet.length < at + ETHERNET) return 'malformed';
  const body = at + ETHERNET;
  const macs = {
    destinationMac: packet.subarray(at, at + 6),
    sourceMac: packet.subarray(at + 6, at + 12),
  };
  switch (packet.readUInt16BE(at + 12)) {
    case 0x0800: {
      if (packet.length < body + IP4) return 'malformed';
      const header = (packet.readUInt8(body) & 15) * 4;
      const total = packet.readUInt16BE(body + 2);
      if (packet.readUInt8(body) >> 4 !== 4 || header < IP4 || total < header || body + total > packet.length)
        return 'malformed';
      return {
        kind: 'ip4',
        ...macs,
        source: ip4At(packet, body + 12),
        destination: ip4At(packet, body + 16),
        operation: 0,
        tos: packet.readUInt8(body + 1),
        ttl: packet.readUInt8(body + 8),
        protocol: packet.readUInt8(body + 9),
      };
    }
    case 0x0806: {
      if (packet.length < body + ARP) return 'malformed';
      const operation = packet.readUInt16BE(body + 6);
      // Ethernet and IPv4, with their lengths.
      if (packet.toString('hex', body, body + 6) !== '000108000604' || operation < 1 || operation > 2)
        return 'malformed';
      return {
        kind: 'arp',
        ...macs,
        source: ip4At(packet, body + 14),
        destination: ip4At(packet, body + 24),
        operation,
        tos: 0,
        ttl: 0,
        protocol: 0,
      };
    }
    case 0x8100:
    case 0x88a8:
      return 'vlan';
    default:
      return 'ethertype';
  }
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
