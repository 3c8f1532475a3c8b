/** What packets become: every function leaves its input alone and returns a whole new packet. */
import { type Address, ip4Of, mix, sealIp4 } from './bytes';
import { askFlag } from './learn';
import { ARP, ETHERNET, type Frame, IP4, OPTION, op, type Question, TUNNEL, type Tunnel } from './packet';
import type { Config, NextHop } from './state';

/** Words are read in the machine's order. */
const word = (packet: Buffer, at: number): number => packet.readUInt32LE(at);
const port = (hash: number): number => 0xc000 | (hash & 0x3fff);

/** Over addresses, protocol and ports; for fragments, the first included, without the ports. */
export const flowPort = (packet: Buffer): number => {
  const ip = ETHERNET;
  const protocol = packet.readUInt8(ip + 9);
  const hash = mix(mix(mix(0, word(packet, ip + 12)), word(packet, ip + 16)), protocol);
  const ports = ip + (packet.readUInt8(ip) & 15) * 4;
  const fragment = packet.readUInt16BE(ip + 6) & 0x3fff;
  if (fragment || (protocol !== 6 && protocol !== 17) || packet.length < ports + 4) return port(hash);
  return port(mix(hash, word(packet, ports)));
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
  /** The Ethernet header in front; its last two bytes become IPv4's type. */
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
  headers.set(outer.macs.subarray(0, 12), 0);
  headers.writeUInt16BE(0x0800, 12);
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
export const arpReply = (packet: Buffer, at: number, mac: Buffer): Buffer =>
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

/** The gateway's answer to a ping; fragments behind the first just turn round. Undefined for anything else. */
export const pingReply = (packet: Buffer): Buffer | undefined => {
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
  if (tunnel.congested && frame.kind === 'ip4' && (ecn === 1 || ecn === 2)) {
    inner.writeUInt8(frame.tos | 3, ETHERNET + 1);
    // RFC 1624 again: that much less in the sum.
    const sum = inner.readUInt16BE(ETHERNET + 10) + 0xffff - (3 - ecn);
    inner.writeUInt16BE((sum + (sum >= 0xffff ? 1 : 0)) & 0xffff, ETHERNET + 10);
  }
  return inner;
};

/** One hop later. */
export const routed = (packet: Buffer): Buffer =>
  rewritten(packet, (copy) => {
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
  asker: Address,
  told: Told | undefined,
): Buffer => {
  const copy = told ? arpReply(packet, tunnel.inner, told.mac) : Buffer.from(packet);
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
    copy.writeUInt8(op.echo, TUNNEL + 4);
    readdress(copy, config, suspect);
  });
