/** What packets become: every function leaves its input alone and returns a whole new packet. */
import { type Address, checksum, ip4Of, mix, sealIp4 } from './bytes';
import { askFlag } from './learn';
import {
  ARP,
  ETHERNET,
  type Frame,
  IP4,
  IP6,
  icmp6,
  NEIGHBOUR,
  OPTION,
  op,
  type Question,
  TUNNEL,
  type Tunnel,
} from './packet';
import type { Config, NextHop } from './state';

/** Words are read in the machine's order. */
const word = (packet: Buffer, at: number): number => packet.readUInt32LE(at);
const port = (hash: number): number => 0xc000 | (hash & 0x3fff);

/** Over addresses, protocol and ports; for fragments, the first included, without the ports. */
export const flowPort = (packet: Buffer): number => {
  const at = ETHERNET;
  const isIp6 = packet.readUInt8(at) >> 4 === 6;
  const words = isIp6 ? [16, 20, 32, 36] : [12, 16];
  const protocol = packet.readUInt8(at + (isIp6 ? 6 : 9));
  const ends = words.reduce((hash, offset) => mix(hash, word(packet, at + offset)), 0);
  const ports = at + (isIp6 ? IP6 : (packet.readUInt8(at) & 15) * 4);
  const fragment = !isIp6 && packet.readUInt16BE(at + 6) & 0x3fff;
  if (fragment || (protocol !== 6 && protocol !== 17) || packet.length < ports + 4) return port(mix(ends, protocol));
  return port(mix(mix(ends, protocol), word(packet, ports)));
};
export const askPort = (vni: number, host: Address): number => port(mix(vni, word(ip4Of(host), 0)));
export const noticePort = (about: Address): number => port(word(ip4Of(about), 0));

export interface Option {
  readonly op: number;
  readonly epoch?: number;
  readonly subnet?: number;
  readonly flags?: number;
  readonly cookie: bigint;
  readonly generation?: bigint;
  readonly host: Address;
  readonly mac?: Buffer;
}

export const optionOf = (fields: Option): Buffer => {
  const option = Buffer.alloc(OPTION);
  option.writeUInt32BE(0xff4d8100 + (OPTION - 4) / 4, 0);
  option.writeUInt8(fields.op, 4);
  option.writeUInt16BE(fields.flags ?? 0, 6);
  option.writeUInt32BE(fields.epoch ?? 0, 8);
  option.writeUInt32BE(fields.subnet ?? 0, 12);
  option.writeBigUInt64BE(fields.cookie, 16);
  option.writeBigUInt64BE(fields.generation ?? 0n, 24);
  option.set(ip4Of(fields.host), 32);
  if (fields.mac) option.set(fields.mac, 36);
  return option;
};

export interface Outer {
  readonly config: Config;
  /**
   * In front: destination and source, and the type if it is not IPv4's. What redirect_neigh sends keeps the inner
   * frame's own header there, which the next hop's takes the place of.
   */
  readonly macs: Buffer;
  readonly to: Address;
  readonly vni: number;
  readonly port: number;
  readonly tos: number;
  readonly option?: Buffer;
}

/** `inner` in the tunnel. */
export const encapsulate = (outer: Outer, inner: Buffer): Buffer => {
  const options = outer.option?.length ?? 0;
  const headers = Buffer.alloc(TUNNEL);
  headers.writeUInt16BE(0x0800, 12);
  headers.set(outer.macs, 0);
  headers.writeUInt16BE(0x4500 | outer.tos, 14);
  headers.writeUInt16BE((TUNNEL - ETHERNET + options + inner.length) & 0xffff, 16);
  headers.writeUInt16BE(0x4000, 20); // don't fragment
  headers.writeUInt16BE((64 << 8) | 17, 22);
  headers.set(ip4Of(outer.config.self), 26);
  headers.set(ip4Of(outer.to), 30);
  sealIp4(headers, 14);
  headers.writeUInt16BE(outer.port, 34);
  headers.writeUInt16BE(6081, 36);
  headers.writeUInt16BE((TUNNEL - ETHERNET - IP4 + options + inner.length) & 0xffff, 38);
  headers.writeUInt8(options / 4, 42);
  headers.writeUInt8(options ? 0x40 : 0, 43); // ours are critical
  headers.writeUInt16BE(0x6558, 44);
  headers.writeUIntBE(outer.vni, 46, 3);
  return Buffer.concat(outer.option ? [headers, outer.option, inner] : [headers, inner]);
};

/** With other link-layer addresses. */
export const withMacs = (frame: Buffer, destination: Buffer, source: Buffer): Buffer => {
  const copy = Buffer.from(frame);
  copy.set(destination, 0);
  copy.set(source, 6);
  return copy;
};

const rewritten = (packet: Buffer, change: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(packet);
  change(copy);
  return copy;
};

/** The ARP request at `at` as the reply its target would give, from `mac`. */
const arpReply = (packet: Buffer, at: number, mac: Buffer): Buffer =>
  rewritten(packet, (copy) => {
    const arp = at + ETHERNET;
    const sender = packet.subarray(arp + 8, arp + 18);
    copy.set(packet.subarray(arp + 8, arp + 14), at);
    copy.set(mac, at + 6);
    copy.writeUInt16BE(2, arp + 6);
    copy.set(mac, arp + 8);
    copy.set(packet.subarray(arp + 24, arp + ARP), arp + 14);
    copy.set(sender, arp + 18);
  });

/** The request at `at`, of either family, as the reply its target would give, from `mac`. */
export const replyTo = (packet: Buffer, at: number, frame: Frame, mac: Buffer, router = false): Buffer =>
  frame.family === 'arp' ? arpReply(packet, at, mac) : neighbourReply(packet, at, mac, router);

/** Neighbour discovery: solicited, and to override what was known. */
const neighbourReply = (packet: Buffer, at: number, mac: Buffer, router: boolean): Buffer =>
  rewritten(packet, (copy) => {
    const ip = at + ETHERNET;
    const message = ip + IP6;
    copy.set(packet.subarray(at + 6, at + 12), at);
    copy.set(mac, at + 6);
    copy.set(packet.subarray(ip + 8, ip + 24), ip + 24);
    copy.set(packet.subarray(message + 8, message + NEIGHBOUR), ip + 8);
    copy.writeUInt8(136, message);
    copy.writeUInt16BE(0, message + 2);
    copy.writeUInt32BE(router ? 0xe0000000 : 0x60000000, message + 4);
    const size = packet.readUInt16BE(ip + 4);
    const hasOption = size === NEIGHBOUR + 8;
    if (hasOption) copy.set([2, 1, ...mac], message + NEIGHBOUR);
    sealIcmp6(copy, ip, hasOption ? size : NEIGHBOUR, size);
  });

/** The sum of `bytes` of the ICMPv6 message behind the IPv6 header at `ip`, which says that it has `size`. */
export const sealIcmp6 = (copy: Buffer, ip: number, bytes: number, size = bytes): void => {
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(size, 0);
  pseudo.writeUInt32BE(icmp6, 4);
  copy.writeUInt16BE(0, ip + IP6 + 2);
  const summed = Buffer.concat([pseudo, copy.subarray(ip + 8, ip + IP6 + bytes)]);
  copy.writeUInt16BE(checksum(summed, 0, summed.length), ip + IP6 + 2);
};

/** The answer to a ping, from whom it is for. Undefined for anything else. */
export const echoReply = (packet: Buffer, frame: Frame): Buffer | undefined =>
  frame.family === 'ip6' ? ping6Reply(packet) : pingReply(packet);

const ping6Reply = (packet: Buffer): Buffer | undefined => {
  const ip = ETHERNET;
  const echo = ip + IP6;
  if (packet.readUInt8(ip + 6) !== icmp6 || packet.length < echo + 4) return undefined;
  if (packet.readUInt16BE(echo) !== 0x8000) return undefined;
  return rewritten(reversed(packet), (copy) => {
    copy.set(packet.subarray(ip + 24, ip + 40), ip + 8);
    copy.set(packet.subarray(ip + 8, ip + 24), ip + 24);
    copy.writeUInt8(129, echo);
    // RFC 1624: 0x0100 more in the sum.
    const sum = (~packet.readUInt16BE(echo + 2) & 0xffff) + 0x0100;
    copy.writeUInt16BE(~(sum + (sum >> 16)) & 0xffff, echo + 2);
  });
};

/** The gateway's answer to a ping; fragments behind the first just turn round. Undefined for anything else. */
const pingReply = (packet: Buffer): Buffer | undefined => {
  const ip = ETHERNET;
  if (packet.readUInt8(ip + 9) !== 1) return undefined;
  const echo = ip + (packet.readUInt8(ip) & 15) * 4;
  const first = (packet.readUInt16BE(ip + 6) & 0x1fff) === 0;
  if (first && (packet.length < echo + 4 || packet.readUInt16BE(echo) !== 0x0800)) return undefined;
  return rewritten(packet, (copy) => {
    copy.set(packet.subarray(6, 12), 0);
    copy.set(packet.subarray(0, 6), 6);
    copy.set(packet.subarray(ip + 16, ip + 20), ip + 12);
    copy.set(packet.subarray(ip + 12, ip + 16), ip + 16);
    if (!first) return;
    copy.writeUInt8(0, echo);
    // RFC 1624: 0x0800 less in the sum.
    const sum = packet.readUInt16BE(echo + 2) + 0x0800;
    copy.writeUInt16BE((sum + (sum >> 16)) & 0xffff, echo + 2);
  });
};

/** The inner frame, addressed to `mac`; congestion outside shows inside (RFC 6040). */
export const decapsulate = (packet: Buffer, tunnel: Tunnel, frame: Frame, mac: Buffer): Buffer => {
  const inner = Buffer.from(packet.subarray(tunnel.inner));
  inner.set(mac, 0);
  const ecn = frame.tos & 3;
  if (tunnel.congested && frame.family === 'ip6' && ecn > 0)
    inner.writeUInt8((inner[ETHERNET + 1] ?? 0) | 0x30, ETHERNET + 1);
  if (tunnel.congested && frame.family === 'ip4' && (ecn === 1 || ecn === 2)) {
    inner.writeUInt8(frame.tos | 3, ETHERNET + 1);
    // RFC 1624 again: that much less in the sum.
    const sum = inner.readUInt16BE(ETHERNET + 10) + 0xffff - (3 - ecn);
    inner.writeUInt16BE((sum + (sum >= 0xffff ? 1 : 0)) & 0xffff, ETHERNET + 10);
  }
  return inner;
};

/** One hop later. */
export const routed = (packet: Buffer, frame: Frame): Buffer =>
  rewritten(packet, (copy) => {
    if (frame.family === 'ip6') {
      copy.writeUInt8(frame.ttl - 1, ETHERNET + 7);
      return;
    }
    copy.writeUInt8(packet.readUInt8(ETHERNET + 8) - 1, ETHERNET + 8);
    // RFC 1624: 0x0100 less in the sum.
    const sum = packet.readUInt16BE(ETHERNET + 10) + 0x0100;
    copy.writeUInt16BE((sum + (sum >= 0xffff ? 1 : 0)) & 0xffff, ETHERNET + 10);
  });

/** From this host to `to`. */
const readdress = (copy: Buffer, config: Config, to: Address, ttl = 64): void => {
  copy.set(ip4Of(config.self), 26);
  copy.set(ip4Of(to), 30);
  copy.writeUInt8(ttl, 22);
  sealIp4(copy, 14);
  copy.writeUInt16BE(0, 40);
};

export interface Told {
  readonly host: Address;
  readonly generation: bigint;
  readonly mac: Buffer;
  readonly flags: number;
}

/** The question as its answer to the asker: the reply with TELL, or NONE. */
export const answer = (
  config: Config,
  packet: Buffer,
  tunnel: Tunnel & { readonly option: number },
  frame: Frame,
  asker: Address,
  told: Told | undefined,
): Buffer => {
  const copy = told ? replyTo(packet, tunnel.inner, frame, told.mac) : Buffer.from(packet);
  const at = tunnel.option;
  setHead(copy, at, { op: told ? op.tell : op.none, hops: 0, flags: told?.flags ?? 0 });
  if (told) {
    copy.writeBigUInt64BE(told.generation, at + 24);
    copy.set(ip4Of(told.host), at + 32);
    copy.set(told.mac, at + 36);
  }
  readdress(copy, config, asker);
  return copy;
};

const setHead = (
  copy: Buffer,
  at: number,
  { op: is, hops, flags }: { op: number; hops: number; flags: number },
): void => {
  copy.writeUInt8(is, at + 4);
  copy.writeUInt8(hops & 0xff, at + 5);
  copy.writeUInt16BE(flags, at + 6);
};

/** The question, as it is now, on its way to `to`, one hop older. */
export const passedOn = (config: Config, packet: Buffer, at: number, question: Question, to: Address): Buffer =>
  rewritten(packet, (copy) => {
    setHead(copy, at, { op: op.ask, hops: question.hops + 1, flags: question.flags });
    copy.writeUInt32BE(question.epoch, at + 8);
    copy.writeUInt32BE(question.subnet, at + 12);
    readdress(copy, config, to);
  });

/** Data for a service as the answer that the address is one. */
export const serviceAnswer = (
  config: Config,
  packet: Buffer,
  at: number,
  asker: Address,
  { host, generation = 0n, mac }: { host: Address; generation?: bigint; mac?: Buffer },
): Buffer =>
  rewritten(packet, (copy) => {
    setHead(copy, at, { op: op.tell, hops: 0, flags: askFlag.service });
    copy.writeBigUInt64BE(generation, at + 24);
    copy.set(ip4Of(host), at + 32);
    if (mac) copy.set(mac, at + 36);
    readdress(copy, config, asker);
  });

/** The same as the answer which backend the flow has. */
export const pinAnswer = (config: Config, packet: Buffer, at: number, asker: Address, body: Buffer): Buffer =>
  rewritten(packet, (copy) => {
    setHead(copy, at, { op: op.pin, hops: 0, flags: askFlag.service });
    copy.set(body, at + 24);
    readdress(copy, config, asker);
  });

/** A packet without an option, to where its endpoint is now; it counts its hops in the outer time to live. */
export const redirected = (config: Config, packet: Buffer, to: Address, ttl: number): Buffer =>
  rewritten(packet, (copy) => readdress(copy, config, to, ttl));

/** Back where it came from. */
export const reversed = (packet: Buffer): Buffer => withMacs(packet, packet.subarray(6, 12), packet.subarray(0, 6));

/** The asking packet as the notice that goes back the way it came. */
export const notice = (config: Config, packet: Buffer, at: number, asker: Address, option: Buffer): Buffer =>
  rewritten(reversed(packet), (copy) => {
    copy.set(option, at);
    readdress(copy, config, asker);
  });

/** The question as its answer that the endpoint left. */
export const gone = (config: Config, packet: Buffer, at: number, to: Address): Buffer =>
  rewritten(reversed(packet), (copy) => {
    setHead(copy, at, { op: op.gone, hops: 0, flags: 0 });
    copy.set(ip4Of(config.self), at + 32);
    readdress(copy, config, to);
  });

/** The same for data, which has no path option: it comes first of all options. */
export const goneWithData = (config: Config, packet: Buffer, tunnel: Tunnel, about: Address): Buffer => {
  const option = optionOf({ op: op.gone, cookie: 0n, host: config.self });
  const others = packet.subarray(TUNNEL, tunnel.inner);
  return encapsulate(
    {
      config,
      macs: reversed(packet).subarray(0, 12),
      to: tunnel.source,
      vni: tunnel.vni,
      port: noticePort(about),
      tos: 0,
      option: Buffer.concat([option, others]),
    },
    packet.subarray(tunnel.inner),
  );
};

/** The probe as its answer. */
export const echoed = (config: Config, packet: Buffer, at: number, to: Address): Buffer =>
  rewritten(reversed(packet), (copy) => {
    copy.writeUInt16BE(askFlag.answer, at + 6);
    readdress(copy, config, to);
  });

/** A clone of the asking packet, as a probe of an owner that owes an answer. */
export const probeOf = (config: Config, asked: Buffer, suspect: Address, hop: NextHop): Buffer =>
  rewritten(withMacs(asked, hop.destination, hop.source), (copy) => {
    copy.writeUInt16BE(0x0800, 12);
    copy.writeUInt8(op.echo, TUNNEL + 4);
    readdress(copy, config, suspect);
  });
