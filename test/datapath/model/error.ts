/** ICMP errors to a tenant, from its gateway (design §3, §4; RFC 792, 1122, 1812). */
import type { VerdictWord } from '@megrez/abi';
import { checksum, ip4Of, sealIp4 } from './bytes';
import { spendError } from './learn';
import { ETHERNET, gatewayMac, IP4 } from './packet';
import type { Step } from './run';
import type { Port, State } from './state';

export type ErrorKind = 'unreachable' | 'expired' | 'too_big' | 'no_backend';

/** `told`: the endpoint was; `untold`: it may not be. */
const kinds = {
  unreachable: { told: 'unreachable', untold: 'unknown_address', type: 3, code: 1 },
  expired: { told: 'time_exceeded', untold: 'expired', type: 11, code: 0 },
  no_backend: { told: 'port_unreachable', untold: 'no_backend', type: 3, code: 3 },
  too_big: { told: 'fragment_needed', untold: 'too_big', type: 3, code: 4 },
} as const satisfies Record<ErrorKind, { told: VerdictWord; untold: VerdictWord; type: number; code: number }>;

/** The longest header and 8 bytes; or, of a shorter packet, the headers of IPv4 and TCP; or the least. */
const quotes = [68, 40, 28] as const;

/** `packet`, a bare frame of the endpoint behind `ifindex`, with the error about itself in front. */
export const errorTo = (
  state: State,
  {
    port,
    ifindex,
    packet,
    kind,
    now,
    gso = false,
    untold = kinds[kind].untold,
  }: {
    port: Port;
    ifindex: number;
    packet: Buffer;
    kind: ErrorKind;
    now: number;
    gso?: boolean;
    untold?: VerdictWord;
  },
): Omit<Step, 'vni'> => {
  const { told, type, code } = kinds[kind];
  const refused: Omit<Step, 'vni'> = { verdict: untold, action: 'drop' };
  if (!mayCauseError(packet) || !spendError(state, ifindex, now)) return refused;
  const quoted = quotes.find((bytes) => packet.length >= ETHERNET + bytes);
  if (quoted === undefined) return refused;
  // A packet that is long enough keeps its length, so that the error fits where it did; others grow.
  const keeps = quoted === quotes[0] && packet.length >= ETHERNET + IP4 + 8 + quoted;
  if (gso && !keeps) return { verdict: 'kernel' };
  const message = Buffer.alloc(8 + quoted);
  message.set([type, code]);
  message.writeUInt16BE(kind === 'too_big' ? port.mtu : 0, 6);
  message.set(packet.subarray(ETHERNET, ETHERNET + quoted), 8);
  message.writeUInt16BE(checksum(message, 0, message.length), 2);
  const header = Buffer.alloc(IP4);
  header.writeUInt16BE(0x4500, 0);
  header.writeUInt16BE(IP4 + message.length, 2);
  header.writeUInt16BE((64 << 8) | 1, 8);
  header.set(ip4Of(port.ip4.gateway), 12);
  header.set(ip4Of(port.ip4.ip), 16);
  sealIp4(header, 0);
  const rest = packet.subarray(keeps ? ETHERNET + IP4 + message.length : ETHERNET + quoted);
  return {
    verdict: told,
    action: 'redirect',
    packet: Buffer.concat([port.mac, gatewayMac, Buffer.from([8, 0]), header, message, rest]),
  };
};

/** No error about an error, nor about a fragment that is not the first. */
const mayCauseError = (packet: Buffer): boolean => {
  if (packet.readUInt16BE(ETHERNET + 6) & 0x1fff) return false;
  if (packet.readUInt8(ETHERNET + 9) !== 1) return true;
  const type = packet[ETHERNET + (packet.readUInt8(ETHERNET) & 15) * 4];
  // Questions and answers: echo, timestamp, information, address mask.
  return type !== undefined && [0, 8, 13, 14, 15, 16, 17, 18].includes(type);
};
