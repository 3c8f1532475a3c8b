/** ICMP errors to a tenant, from its gateway (design §3, §4; RFC 792, 1122, 1812). */
import type { VerdictWord } from '@megrez/abi';
import { sealIcmp6 } from './build';
import { bytesOf, checksum, ip4Of, sealIp4 } from './bytes';
import { spendError } from './learn';
import { ETHERNET, type Frame, gatewayMac, IP4, IP6, icmp6 } from './packet';
import type { Step } from './run';
import { errorToClient } from './service';
import type { Port, State } from './state';

export type ErrorKind = 'unreachable' | 'expired' | 'too_big' | 'no_backend';

/** `told`: the endpoint was; `untold`: it may not be. */
const kinds = {
  unreachable: { told: 'unreachable', untold: 'unknown_address', type: 3, code: 1, six: [1, 3] },
  expired: { told: 'time_exceeded', untold: 'expired', type: 11, code: 0, six: [3, 0] },
  no_backend: { told: 'port_unreachable', untold: 'no_backend', type: 3, code: 3, six: [1, 4] },
  too_big: { told: 'fragment_needed', untold: 'too_big', type: 3, code: 4, six: [2, 0] },
} as const satisfies Record<
  ErrorKind,
  { told: VerdictWord; untold: VerdictWord; type: number; code: number; six: [number, number] }
>;

/** The longest header and 8 bytes; or, of a shorter packet, the headers of IPv4 and TCP; or the least. */
const quotes4 = [68, 40, 28] as const;
/** IPv6's header and TCP's, or less. */
const quotes6 = [60, 48] as const;

/** `packet`, a bare frame of the endpoint behind `ifindex`, as the error about itself. */
export const errorTo = (
  state: State,
  {
    port,
    ifindex,
    packet,
    family,
    kind,
    now,
    gso = false,
    untold = kinds[kind].untold,
  }: {
    port: Port;
    ifindex: number;
    packet: Buffer;
    family: Frame['family'];
    kind: ErrorKind;
    now: number;
    gso?: boolean;
    untold?: VerdictWord;
  },
): Omit<Step, 'vni'> => {
  const refused: Omit<Step, 'vni'> = { verdict: untold, action: 'drop' };
  const isIp6 = family === 'ip6';
  if (!(isIp6 ? mayCauseError6(packet) : mayCauseError(packet)) || !spendError(state, ifindex, now)) return refused;
  const quotes: readonly number[] = isIp6 ? quotes6 : quotes4;
  const quoted = quotes.find((bytes) => packet.length >= ETHERNET + bytes);
  if (quoted === undefined) return refused;
  const quote = packet.subarray(ETHERNET, ETHERNET + quoted);
  const error = isIp6 ? error6(port, kind, quote) : error4(port, kind, quote);
  // A packet that is long enough keeps its length, so that the error fits where it did; others grow.
  const keeps = quoted === quotes[0] && packet.length >= ETHERNET + error.length;
  if (gso && !keeps) return { verdict: 'kernel' };
  const rest = packet.subarray(ETHERNET + (keeps ? error.length : quoted));
  const whole = Buffer.concat([port.mac, gatewayMac, Buffer.from(isIp6 ? [0x86, 0xdd] : [8, 0]), error, rest]);
  return {
    verdict: kinds[kind].told,
    action: 'redirect',
    packet: kind === 'unreachable' && !isIp6 ? errorToClient(state, whole, ifindex, port.vni) : whole,
  };
};

const error4 = (port: Port, kind: ErrorKind, quote: Buffer): Buffer => {
  const { type, code } = kinds[kind];
  const message = Buffer.alloc(8 + quote.length);
  message.set([type, code]);
  message.writeUInt16BE(kind === 'too_big' ? port.mtu : 0, 6);
  message.set(quote, 8);
  message.writeUInt16BE(checksum(message, 0, message.length), 2);
  const header = Buffer.alloc(IP4);
  header.writeUInt16BE(0x4500, 0);
  header.writeUInt16BE(IP4 + message.length, 2);
  header.writeUInt16BE((64 << 8) | 1, 8);
  header.set(ip4Of(port.ip4.gateway), 12);
  header.set(ip4Of(port.ip4.ip), 16);
  sealIp4(header, 0);
  return Buffer.concat([header, message]);
};

const error6 = (port: Port, kind: ErrorKind, quote: Buffer): Buffer => {
  const error = Buffer.alloc(IP6 + 8 + quote.length);
  error.writeUInt32BE(0x60000000, 0);
  error.writeUInt16BE(8 + quote.length, 4);
  error.set([icmp6, 64], 6);
  error.set(bytesOf(port.ip6.gateway), 8);
  error.set(bytesOf(port.ip6.ip), 24);
  error.set(kinds[kind].six, IP6);
  error.writeUInt32BE(kind === 'too_big' ? port.mtu : 0, IP6 + 4);
  error.set(quote, IP6 + 8);
  sealIcmp6(error, 0, 8 + quote.length);
  return error;
};

/** No error about an error, nor about a fragment that is not the first. */
const mayCauseError = (packet: Buffer): boolean => {
  if (packet.readUInt16BE(ETHERNET + 6) & 0x1fff) return false;
  if (packet.readUInt8(ETHERNET + 9) !== 1) return true;
  const type = packet[ETHERNET + (packet.readUInt8(ETHERNET) & 15) * 4];
  // Questions and answers: echo, timestamp, information, address mask.
  return type !== undefined && [0, 8, 13, 14, 15, 16, 17, 18].includes(type);
};

/** ICMPv6's errors are the types below 128. */
const mayCauseError6 = (packet: Buffer): boolean =>
  packet.readUInt8(ETHERNET + 6) !== icmp6 || (packet[ETHERNET + IP6] ?? 0) >= 128;
