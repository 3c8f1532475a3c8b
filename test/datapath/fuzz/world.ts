/** A case: the rows of one host, and packets that its programs get one after the other. */
import { type MapName, maps, type ProgramWord } from '@megrez/abi';
import { bytesOf } from '../model/bytes';
import { cookieIn, windowOf } from '../model/learn';
import type { Config, Entry } from '../model/state';

/** Where a packet holds a good cookie, and for what, so that the case can be run at any time. */
export interface CookieAt {
  readonly offset: number;
  readonly vni: number;
  readonly ip: string;
  /** In windows; 2 and more are too old. */
  readonly ago: number;
}

export interface Shot {
  readonly program: ProgramWord;
  readonly ifindex: number;
  readonly gso_size: number;
  /** Its own host sends it on its way once more. */
  readonly again: boolean;
  readonly packet: Buffer;
  readonly cookie?: CookieAt;
}

export interface World {
  /** Times in the rows are meant to be seen then; ns of CLOCK_MONOTONIC. */
  readonly made_at: bigint;
  readonly entries: readonly Entry[];
  readonly shots: readonly Shot[];
}

const timeFields = [
  'told_at',
  'asked_at',
  'checked_at',
  'live_at',
  'due',
  'error_due',
  'sent_at',
  'heard_at',
  'probed_at',
  'until',
];
const never = 1n << 60n;

/** The same world now: every age is what it was, every cookie as good or bad. */
export const rebased = (world: World, config: Config, now: bigint): World => ({
  made_at: now,
  entries: world.entries.map((entry) => moved(entry, now - world.made_at)),
  shots: world.shots.map((shot) => {
    if (!shot.cookie || shot.packet.length < shot.cookie.offset + 8) return shot;
    const { offset, vni, ip, ago } = shot.cookie;
    return { ...shot, packet: withCookie(shot.packet, offset, cookieIn(config, vni, ip, windowOf(Number(now)) - ago)) };
  }),
});

/** The packet with another cookie at `offset`. */
const withCookie = (packet: Buffer, offset: number, cookie: bigint): Buffer => {
  const copy = Buffer.from(packet);
  copy.writeBigUInt64BE(cookie, offset);
  return copy;
};

const moved = (entry: Entry, by: bigint): Entry => {
  if (by === 0n) return entry;
  const value = entry.value as unknown as Record<string, unknown>;
  const changed: Record<string, bigint> = {};
  for (const field of timeFields) {
    const time = value[field];
    if (typeof time === 'bigint' && time !== 0n && time < never) changed[field] = time + by;
  }
  return { ...entry, value: { ...value, ...changed } } as unknown as Entry;
};

export const encodeKey = (map: MapName, key: unknown): Buffer =>
  (maps[map].key.encode as (key: unknown) => Buffer)(key);
export const encodeValue = (map: MapName, value: unknown): Buffer =>
  (maps[map].value.encode as (value: unknown) => Buffer)(value);

export const ip16 = (text: string): Uint8Array =>
  bytesOf(
    `${'\0'.repeat(10)}\xff\xff${text
      .split('.')
      .map((byte) => String.fromCharCode(Number(byte)))
      .join('')}`,
  );
