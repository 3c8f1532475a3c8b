/** A failure as a row of a packet table (table.ts), to be put among the others. */
import { formatAddress, formatMac } from '@megrez/model';
import type { Failure } from './shrink';
import type { Shot } from './world';

export const printFailure = ({ world, difference }: Failure, title: string): string => {
  const shot = world.shots[difference.shot ?? world.shots.length - 1] as Shot;
  const earlier = world.shots.slice(0, world.shots.indexOf(shot));
  const lines = [
    `// ${title}`,
    `// ${difference.kind}`,
    ...comment('model', difference.model),
    ...comment('program', difference.program),
    ...(difference.shot === undefined && world.shots.length > 1 ? ['// the packets, one after the other:'] : []),
    ...earlier.map((one) => `// before, ${describe(one)}`),
    '{',
    `  name: ${JSON.stringify(`${title}: ${difference.kind}`)},`,
    '  rows: () => [',
    ...world.entries.map(
      ({ map, key, value }) => `    row('${map}', ${literal(key, world.made_at)}, ${literal(value, world.made_at)}),`,
    ),
    '  ],',
    `  packet: () => ${packetOf(shot)}, // ${shot.program}, interface ${shot.ifindex}${shot.gso_size ? `, gso_size ${shot.gso_size}` : ''}${shot.again ? ', again' : ''}`,
    '},',
  ];
  return lines.join('\n');
};

const comment = (who: string, text: string): string[] => text.split('\n').map((line) => `//   ${who}: ${line}`);

const describe = (shot: Shot): string => `${shot.program}, interface ${shot.ifindex}: ${packetOf(shot)}`;

const packetOf = ({ packet, cookie }: Shot): string => {
  const bytes = `Buffer.from('${packet.toString('hex')}', 'hex')`;
  if (!cookie || packet.length < cookie.offset + 8) return bytes;
  const at = cookie.ago === 0 ? 'now_ns()' : `now_ns() - ${cookie.ago}n * (1n << 31n)`;
  const ip = formatAddress(Buffer.from(cookie.ip, 'latin1'));
  return `withCookie(${bytes}, ${cookie.offset}, cookie(${cookie.vni}, '${ip}', ${at}))`;
};

const literal = (value: unknown, now: bigint): string => {
  if (value instanceof Uint8Array) {
    if (value.length === 16 && value.every((byte) => byte === 0)) return 'new Uint8Array(16)';
    if (value.length === 16 && Buffer.from(value.subarray(0, 12)).toString('hex') === '00000000000000000000ffff')
      return `parseAddress('${formatAddress(value)}')`;
    if (value.length === 6) return `macBytes('${formatMac(value)}')`;
    return `Uint8Array.from([${value.join(', ')}])`;
  }
  if (typeof value === 'bigint') {
    const ago = now - value;
    const near = ago < 1n << 50n && ago > -(1n << 50n) && value !== 0n && value > 1n << 36n;
    return near ? `now_ns() - ${ago}n` : `${value}n`;
  }
  if (typeof value === 'object' && value !== null)
    return `{ ${Object.entries(value)
      .map(([name, field]) => `${name}: ${literal(field, now)}`)
      .join(', ')} }`;
  return JSON.stringify(value);
};
