// Frames as they are: made by hand, injected and captured.
import type { Endpoint } from '@megrez/model';
import { expect } from 'vitest';
import { probe, type TestCluster, type Where } from './cluster';
import { type Counters, countedSince, counters } from './observe';

export interface Frame {
  readonly direction: 'in' | 'out';
  /** The first 256 bytes. */
  readonly bytes: Buffer;
}

export interface Capture {
  /** Everything so far. */
  seen(): readonly Frame[];
  /** Everything seen; throws when some was lost. */
  finish(): Promise<readonly Frame[]>;
}

const framesOf = (text: string): readonly Frame[] =>
  [...text.matchAll(/^(in|out) ([0-9a-f]+)$/gm)].map(([, direction, hex = '']) => ({
    direction: direction as 'in' | 'out',
    bytes: Buffer.from(hex, 'hex'),
  }));

/** Captures on an interface; resolves when nothing escapes any more. */
export async function capture(cluster: TestCluster, where: Where, device: string): Promise<Capture> {
  const running = await cluster.start(where, [probe(), 'capture', device]);
  await running.said('ready');
  return {
    seen: () => framesOf(running.output()),
    finish: async () => {
      const { code, stdout, stderr } = await running.finish();
      const [lost] = stdout.match(/^lost \d+$/m) ?? [];
      if (code !== 0 || lost !== 'lost 0') {
        throw new Error(`the capture on ${device} is not whole: ${stderr}${lost}`);
      }
      return framesOf(stdout);
    },
  };
}

/** Sends frames from an interface, as they are. */
export async function inject(cluster: TestCluster, where: Where, device: string, frames: readonly Buffer[]) {
  const lines = frames.map((frame) => `${frame.toString('hex')}\n`).join('');
  await cluster.must(where, [probe(), 'send', device], lines);
}

/** Sends frames and waits until the hosts' programs have counted exactly this because of them. */
export async function injectCounted(
  cluster: TestCluster,
  where: Where,
  device: string,
  frames: readonly Buffer[],
  expected: Readonly<Record<string, Counters>>,
): Promise<void> {
  const before = new Map<string, Counters>();
  for (const host of Object.keys(expected)) {
    before.set(host, await counters(cluster, host));
  }
  await inject(cluster, where, device, frames);
  for (const [host, start] of before) {
    await expect.poll(() => countedSince(cluster, host, start), { timeout: 3000 }).toEqual(expected[host]);
  }
}

export const mac = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
export const ip4 = (text: string): Buffer => Buffer.from(text.split('.').map(Number));
export const everyone = 'ff:ff:ff:ff:ff:ff';
const noMac = '00:00:00:00:00:00';

const short = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};

/** The internet checksum (RFC 1071). */
export function checksum(bytes: Buffer): number {
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
  let sum = 0;
  for (let i = 0; i < even.length; i += 2) {
    sum += even.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

export const ethernet = (to: string, from: string, type: number, body: Buffer): Buffer =>
  Buffer.concat([mac(to), mac(from), short(type), body]);

export interface Arp {
  readonly operation: 'request' | 'reply';
  readonly senderMac: string;
  readonly sender: string;
  readonly targetMac?: string;
  readonly target: string;
  /** Destination of the frame; without it everyone. */
  readonly to?: string;
  /** Source of the frame; without it the sender. */
  readonly from?: string;
}

export const arp = ({
  operation,
  senderMac,
  sender,
  targetMac = noMac,
  target,
  to = everyone,
  from = senderMac,
}: Arp) =>
  ethernet(
    to,
    from,
    0x0806,
    Buffer.concat([
      Buffer.from([0, 1, 8, 0, 6, 4, 0, operation === 'request' ? 1 : 2]),
      mac(senderMac),
      ip4(sender),
      mac(targetMac),
      ip4(target),
    ]),
  );

export interface Ip {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly body: Buffer;
  /** Words of 4 bytes behind the fixed header. */
  readonly options?: Buffer;
  /** Flags and offset, as on the wire. */
  readonly fragment?: number;
  readonly ihl?: number;
  readonly version?: number;
  readonly length?: number;
}

export function ipPacket({ source, destination, protocol, body, options = Buffer.alloc(0), ...odd }: Ip): Buffer {
  const header = Buffer.concat([Buffer.alloc(12), ip4(source), ip4(destination), options]);
  header[0] = ((odd.version ?? 4) << 4) | (odd.ihl ?? header.length / 4);
  header.writeUInt16BE(odd.length ?? header.length + body.length, 2);
  header.writeUInt16BE(odd.fragment ?? 0, 6);
  header[8] = 64;
  header[9] = protocol;
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, body]);
}

/** UDP without a checksum. */
export const udp = (source: number, destination: number, body: Buffer): Buffer =>
  Buffer.concat([short(source), short(destination), short(8 + body.length), short(0), body]);

export function echoRequest(sequence = 1): Buffer {
  const message = Buffer.concat([Buffer.from([8, 0, 0, 0]), short(0x6d7a), short(sequence), Buffer.alloc(8, 0x61)]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** Options and inner frame behind a Geneve header. */
export function geneve(vni: number, options: Buffer, inner: Buffer, words = options.length / 4): Buffer {
  const header = Buffer.from([words & 0x3f, 0, 0x65, 0x58, vni >> 16, vni >> 8, vni, 0]);
  return Buffer.concat([header, options, inner]);
}

export const op = { ask: 1, tell: 2, none: 3, gone: 4, pin: 5, echo: 6 } as const;

export interface PathOption {
  readonly op: number;
  readonly subnet?: number;
  readonly cookie?: bigint;
  readonly generation?: bigint;
  readonly host: string;
  readonly mac?: string;
  readonly hops?: number;
}

/** The path option of bpf/wire.h. */
export function pathOption({
  op,
  subnet = 1,
  cookie = 0n,
  generation = 0n,
  host,
  mac: m = noMac,
  hops = 0,
}: PathOption) {
  const body = Buffer.alloc(44);
  body.writeUInt16BE(0xff4d, 0);
  body[2] = 0x81;
  body[3] = 10;
  body[4] = op;
  body[5] = hops;
  body.writeUInt32BE(subnet, 12);
  body.writeBigUInt64BE(cookie, 16);
  body.writeBigUInt64BE(generation, 24);
  ip4(host).copy(body, 32);
  mac(m).copy(body, 36);
  return body;
}

/** What a captured frame is, as far as the tests tell frames apart. */
export function isGeneve({ bytes }: Frame): boolean {
  return bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 17 && bytes.readUInt16BE(36) === 6081;
}

export const isArp = ({ bytes }: Frame): boolean => bytes.readUInt16BE(12) === 0x0806;

/** The inner frame of a captured Geneve frame. */
export function innerOf({ bytes }: Frame): Buffer {
  return bytes.subarray(50 + ((bytes[42] ?? 0) & 0x3f) * 4);
}

/** An ARP frame from this endpoint. */
export const arpFrom = (endpoint: Endpoint, target: string): Buffer =>
  arp({ operation: 'request', senderMac: endpoint.mac, sender: endpoint.ip, target });
