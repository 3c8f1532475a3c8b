/** Worlds from a seed: rows that contradict each other as they may in life, and packets from good to absurd. */
import { slotOf } from '@megrez/ring';
import { secretBytes } from '../cookie';
import { checksum } from '../model/bytes';
import type { Config, Entry } from '../model/state';
import { nicIfindex, portIfindexes } from './machine';
import { type Random, randomOf } from './random';
import { backendPort, clientPorts, type KnownFlow, serviceEntries, servicePorts } from './services';
import { type CookieAt, ip16, type Shot, type World } from './world';

const ms = (value: number): bigint => BigInt(Math.round(value * 1e6));
const latin = (address: Uint8Array): string => Buffer.from(address).toString('latin1');
const nobody = new Uint8Array(16);

const hostTexts = ['192.168.240.11', '192.168.240.12', '192.168.240.13', '192.168.240.14', '192.168.240.15'] as const;
const hosts = hostTexts.map(ip16);
const strangers = ['192.168.99.1', '8.8.8.8', '0.0.0.0', '192.168.241.12'].map(ip16);
const hostMac = (host: Uint8Array): Buffer => Buffer.from([2, 0, 0, 0, 0, host[15] ?? 0]);

const vnis = [7, 8, 0xfffffe] as const;

interface Subnet {
  readonly number: number;
  readonly gateway: Uint8Array;
  readonly network: Uint8Array;
  readonly bits: number;
  readonly members: readonly Uint8Array[];
}
const subnetOf = (
  number: number,
  prefix: string,
  bits: number,
  gateway: number,
  members: readonly number[],
): Subnet => ({
  number,
  bits,
  network: ip16(`${prefix}.${members.length > 2 ? 0 : 4}`),
  gateway: ip16(`${prefix}.${gateway}`),
  members: members.map((last) => ip16(`${prefix}.${last}`)),
});
const subnets = [
  subnetOf(1, '10.0.1', 24, 1, [11, 12, 13, 14, 99]),
  subnetOf(2, '10.0.2', 24, 1, [11, 12, 13, 250]),
  subnetOf(0xffffff, '10.0.3', 30, 5, [6, 5]),
] as const;

/** The same for IPv6: /64, and one of an odd length. */
const ip6 = (prefix: number, last: number): Uint8Array => {
  const address = Buffer.alloc(16);
  address.set([0xfd, 0, 0, prefix, 0, 0, 0, prefix]);
  address.writeUInt16BE(last, 14);
  return address;
};
const subnets6: readonly Subnet[] = [
  {
    number: 1,
    bits: 64,
    network: ip6(1, 0),
    gateway: ip6(1, 1),
    members: [0x11, 0x12, 0x13].map((last) => ip6(1, last)),
  },
  {
    number: 2,
    bits: 121,
    network: ip6(2, 0),
    gateway: ip6(2, 1),
    members: [0x11, 0x12, 0x7f].map((last) => ip6(2, last)),
  },
];
const mask6Of = (bits: number): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, at) =>
    at < bits >> 3 ? 0xff : at > bits >> 3 ? 0 : (0xff00 >> (bits & 7)) & 0xff,
  );
const isIp4 = (ip: Uint8Array): boolean => ip[11] === 0xff && ip[0] === 0;

const maskOf = (bits: number): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, at) =>
    at < 12 + (bits >> 3) ? 0xff : at > 12 + (bits >> 3) ? 0 : (0xff00 >> (bits & 7)) & 0xff,
  );

/** As in the agent: derived from the address. */
const macOf = (ip: Uint8Array): Buffer => Buffer.from([2, 0x4d, ...ip.subarray(12)]);

interface Someone {
  readonly vni: number;
  readonly subnet: Subnet;
  readonly ip: Uint8Array;
}
const everyone: readonly Someone[] = vnis.flatMap((vni) =>
  subnets.flatMap((subnet) => subnet.members.map((ip) => ({ vni, subnet, ip }))),
);
/** Both families, and no more of them. */
const bothFamilies: readonly Someone[] = vnis.flatMap((vni) => [
  ...everyone.filter((one) => one.vni === vni && one.subnet.number < 3).filter((_, at) => at % 2 === 0),
  ...subnets6.flatMap((subnet) => subnet.members.map((ip) => ({ vni, subnet, ip }))),
]);
const slotCache = new Map<Someone, number>();
const slotOfSomeone = (one: Someone): number => {
  const slot = slotCache.get(one) ?? slotOf(one.vni, one.ip);
  slotCache.set(one, slot);
  return slot;
};

interface Port extends Someone {
  readonly ifindex: number;
  readonly mac: Buffer;
  readonly mtu: number;
  /** Of the other family than `ip`, or none. */
  readonly other: Someone | undefined;
}

interface Scene {
  readonly services: readonly Someone[];
  /** Those that the rows know. */
  readonly flows: KnownFlow[];
  /** Addresses with a tombstone. */
  readonly left: Uint8Array[];
  readonly random: Random;
  readonly now: bigint;
  readonly self: Uint8Array;
  readonly vni: number;
  readonly config: Settings;
  readonly people: readonly Someone[];
  readonly ports: readonly Port[];
}

interface Settings {
  readonly soft_ms: number;
  readonly hard_ms: number;
  readonly check_ms: number;
  readonly retry_ms: number;
  readonly negative_ms: number;
  readonly interval_ms: number;
  readonly burst_ms: number;
}

const standard: Settings = {
  soft_ms: 5_000,
  hard_ms: 10_000,
  check_ms: 60_000,
  retry_ms: 500,
  negative_ms: 100,
  interval_ms: 1,
  burst_ms: 1_000,
};

export const worldOf = (seed: number, index: number, now: bigint): World => {
  const random = randomOf(seed, index);
  const vni = random.once(4) ? random.pick(vnis) : 7;
  const self = hosts[0] as Uint8Array;
  const config = random.once(4)
    ? {
        ...standard,
        soft_ms: random.pick([0, 20, 5_000]),
        hard_ms: random.pick([0, 40, 10_000]),
        check_ms: random.pick([0, 60, 60_000]),
        interval_ms: random.pick([0, 1, 1_000_000]),
        burst_ms: random.pick([0, 1, 3_000]),
      }
    : standard;
  const people = random.once(3) ? bothFamilies : everyone;
  const ours = people.filter((one) => one.vni === vni);
  const ports = portIfindexes.slice(0, 1 + random.below(3)).map((ifindex): Port => {
    const one = random.pick(random.once(8) ? people : ours);
    const others = people.filter((other) => other.vni === one.vni && isIp4(other.ip) !== isIp4(one.ip));
    const other = others.length > 0 && !random.once(3) ? random.pick(others) : undefined;
    return { ...one, ifindex, mac: macOf(one.ip), mtu: random.pick([1386, 1386, 1386, 68, 3000]), other };
  });
  const services = random.once(2) ? [] : [0, 1].map(() => random.pick(ours));
  const scene: Scene = { random, now, self, vni, config, people, ports, services, flows: [], left: [] };
  return {
    made_at: now,
    entries: entriesOf(scene),
    shots: Array.from({ length: 8 + random.below(17) }, () => shotOf(scene)),
  };
};

// ---- rows

/** A time about `threshold_ms` ago, so that it is over, just not over, or nearly. */
const ago = ({ random, now }: Scene, thresholds_ms: readonly number[]): bigint => {
  const around =
    random.pick(thresholds_ms) + (random.once(3) ? random.below(40) - 20 : random.once(2) ? 0 : random.below(3000));
  const then = now - ms(random.once(20) ? around / 2 : around);
  // The machine may have started only then.
  return then < 1n ? 1n : then;
};

const configOf = (self: Uint8Array, settings: Settings): Entry => ({
  map: 'config',
  key: 0,
  value: {
    self,
    onlink_network: ip16('192.168.240.0'),
    onlink_mask: settings === standard ? maskOf(24) : maskOf(32),
    secret: secretBytes,
    soft_lease_ns: ms(settings.soft_ms),
    hard_lease_ns: ms(settings.hard_ms),
    check_ns: ms(settings.check_ms),
    retry_ns: ms(settings.retry_ms),
    negative_ns: ms(settings.negative_ms),
    ask_interval_ns: ms(settings.interval_ms),
    ask_burst_ns: ms(settings.burst_ms),
    nic: nicIfindex,
  },
});

const generation = (random: Random): number => random.pick([1, 4, 5, 5, 5, 6, 900, 2 ** 52]);

const entriesOf = (scene: Scene): Entry[] => {
  const { random, now, self, vni, ports } = scene;
  const entries: Entry[] = [configOf(self, scene.config)];
  const owner = (): Uint8Array => random.pick([self, hosts[1], hosts[2], hosts[2], hosts[3]] as Uint8Array[]);
  // The one packet that a tick of the clock heard before must not count in another world.
  entries.push({ map: 'last_heard', key: 0, value: { host: nobody, at: 0n } });
  entries.push({
    map: 'attached',
    key: 0,
    value: { until: random.pick([1n << 62n, 1n << 62n, now + ms(2_000), now - ms(100), 0n]) },
  });
  if (!random.once(30))
    entries.push({
      map: 'underlay',
      key: { length: random.once(10) ? 126 : 120, address: ip16(random.once(10) ? '192.168.240.12' : '192.168.240.0') },
      value: { accepted: 1 },
    });
  for (const { ifindex, vni: of, subnet, ip, mac, mtu, other } of ports) {
    const none = { ip: nobody, gateway: nobody, network: nobody, mask: nobody };
    const own = {
      ip,
      gateway: subnet.gateway,
      network: subnet.network,
      mask: isIp4(ip) ? maskOf(subnet.bits) : mask6Of(subnet.bits),
    };
    const second = other && {
      ip: other.ip,
      gateway: other.subnet.gateway,
      network: other.subnet.network,
      mask: isIp4(other.ip) ? maskOf(other.subnet.bits) : mask6Of(other.subnet.bits),
    };
    entries.push({
      map: 'ports',
      key: { ifindex },
      value: {
        vni: of,
        subnet: subnet.number,
        ip4: isIp4(ip) ? own : (second ?? none),
        ip6: isIp4(ip) ? (second ?? none) : own,
        generation: generation(random),
        mac,
        mtu,
      },
    });
    if (!random.once(20))
      entries.push({
        map: 'budgets',
        key: { ifindex },
        value: {
          due: random.pick([0n, 0n, now, now + ms(500), now + ms(1_010), now + ms(3_600_000)]),
          error_due: random.pick([0n, 0n, now, now + ms(500), now + ms(3_600_000)]),
        },
      });
    entries.push({
      map: 'traffic',
      key: { ifindex },
      value: { sent: { packets: 0n, bytes: 0n }, received: { packets: 0n, bytes: 0n } },
    });
    if (!random.once(10)) entries.push(endpointEntry(random, of, ip, ifindex));
    if (other && !random.once(10)) entries.push(endpointEntry(random, of, other.ip, ifindex));
  }
  for (const other of vnis)
    if (random.once(other === vni ? 1.1 : 3))
      entries.push({ map: 'networks', key: { vni: other }, value: { generation: 1 } });
  for (const host of hosts)
    if (!random.once(5))
      entries.push({
        map: 'next_hops',
        key: { host },
        value: { ifindex: nicIfindex, destination: hostMac(host), source: hostMac(self) },
      });
  const known = serviceEntries(random, {
    services: scene.services,
    clients: ports,
    members: scene.people.filter((one) => one.vni === vni && isIp4(one.ip)).map((one) => one.ip),
    generation: () => generation(random),
    ago: (thresholds_ms) => ago(scene, thresholds_ms),
    mac: macOf,
  });
  entries.push(...known.entries);
  scene.flows.push(...known.flows);
  const serving = random.below(4);
  for (const one of scene.people) {
    if (one.vni !== vni && !random.once(6)) continue;
    const key = { vni: one.vni, ip: one.ip };
    if (random.once(12)) entries.push(endpointEntry(random, one.vni, one.ip, random.pick([0, 4, 6, 8, 9_999])));
    if (random.once(scene.services.includes(one) ? 20 : 4))
      entries.push({
        map: 'mappings',
        key,
        value: { host: owner(), generation: generation(random), mac: random.once(8) ? random.bytes(6) : macOf(one.ip) },
      });
    for (const subnet of [one.subnet.number, 0]) {
      const slot = { vni: one.vni, subnet, slot: slotOfSomeone(one) };
      if (!random.once(5))
        entries.push({
          map: 'slots',
          key: slot,
          value: {
            primary: serving > 1 && random.once(2) ? self : owner(),
            secondary: random.once(3) ? nobody : owner(),
            epoch: random.pick([1, 3, 3, 3, 4, 0xffffffff]),
            generation: generation(random),
          },
        });
      if (random.below(4) < serving)
        entries.push({
          map: 'holdings',
          key: slot,
          value: {
            state: random.pick([1, 2, 2, 2, 3]),
            epoch: random.pick([1, 3, 3, 4]),
            generation: generation(random),
          },
        });
    }
    if (random.once(scene.services.includes(one) ? 1.5 : 3)) entries.push(pathEntry(scene, one, owner));
    const isLeft = random.once(10);
    if (isLeft) scene.left.push(one.ip);
    if (isLeft)
      entries.push({
        map: 'tombstones',
        key,
        value: {
          host: random.once(3) ? nobody : owner(),
          generation: generation(random),
          until: now + ms(random.pick([-20, 0, 20, 20_000])),
        },
      });
    if (random.once(10))
      entries.push({
        map: 'notices',
        key: { asker: random.pick(hosts), about: key },
        value: { sent_at: ago(scene, [0, 10, 5_000]) },
      });
  }
  for (const of of vnis)
    for (const subnet of [...subnets, ...(scene.people === bothFamilies ? subnets6 : [])])
      if (of === vni ? !random.once(4) : random.once(4))
        entries.push({
          map: 'routes',
          key: { length: 32 + (isIp4(subnet.network) ? 96 : 0) + subnet.bits, vni: of, address: subnet.network },
          value: { subnet: subnet.number, generation: generation(random) },
        });
  for (const host of hosts)
    if (random.once(2))
      entries.push({
        map: 'hosts',
        key: { host },
        value: {
          asked_at: random.once(3) ? 0n : ago(scene, [0, 50, 300, 600]),
          heard_at: random.once(5) ? 0n : ago(scene, [0, 100, 300, 600]),
          probed_at: random.once(3) ? 0n : ago(scene, [0, 100]),
        },
      });
  return entries;
};

const endpointEntry = (random: Random, vni: number, ip: Uint8Array, ifindex: number): Entry => ({
  map: 'endpoints',
  key: { vni, ip },
  value: {
    ifindex: random.once(12) ? 0 : ifindex,
    flags: random.below(2),
    generation: generation(random),
    mac: random.once(10) ? random.bytes(6) : macOf(ip),
  },
});

const pathEntry = (scene: Scene, one: Someone, owner: () => Uint8Array): Entry => {
  const { random, config } = scene;
  const isService = scene.services.includes(one) ? !random.once(5) : random.once(40);
  const state = isService ? 3 : random.pick([0, 1, 1, 1, 1, 2] as const);
  const told_at = ago(scene, [0, 0, config.soft_ms, config.hard_ms, config.negative_ms, 60_000]);
  return {
    map: 'paths',
    key: { vni: one.vni, ip: one.ip },
    value: {
      key: { vni: one.vni, ip: one.ip },
      state,
      host: state === 1 ? owner() : nobody,
      asked: random.once(2) ? nobody : owner(),
      generation: state === 1 ? generation(random) : 0,
      told_at,
      asked_at: random.once(2) ? told_at : ago(scene, [0, 50, 500]),
      checked_at: random.once(2) ? told_at : ago(scene, [0, config.check_ms, config.check_ms * 1.5]),
      live_at: ago(scene, [0, 100, 300, 600]),
      mac: state === 1 || (state === 3 && random.once(2)) ? macOf(one.ip) : new Uint8Array(6),
      asks: random.pick([0, 0, 0, 1, 2, 3, 254, 255]),
    },
  };
};

// ---- packets

const u16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);

/** The kernel refuses to run a tc program on an IP packet without its header, and on more than a page. */
const runnable = (packet: Buffer): Buffer => {
  const type = packet.readUInt16BE(12);
  const least = type === 0x0800 ? 34 : type === 0x86dd ? 54 : 14;
  return packet.length < least
    ? Buffer.concat([packet, Buffer.alloc(least - packet.length)])
    : packet.subarray(0, 3_500);
};

const shotOf = (scene: Scene): Shot => {
  const { random } = scene;
  const kind = random.below(20);
  if (kind === 0)
    return {
      program: 'tunnel',
      ifindex: 0,
      gso_size: 0,
      again: false,
      packet: runnable(random.bytes(14 + random.below(100))),
    };
  if (kind < 10) {
    const port = random.pick(scene.ports);
    const packet = mutated(random, tenantFrame(scene, port), 14);
    return {
      program: 'endpoint',
      ifindex: random.once(40) ? random.pick([1, nicIfindex, 8]) : port.ifindex,
      gso_size:
        [0x0800, 0x86dd].includes(packet.readUInt16BE(12)) && random.once(50)
          ? random.pick([500, 1346, 1347, 1400])
          : 0,
      again: random.once(12),
      packet: runnable(packet),
    };
  }
  const { packet, cookie } = underlayShot(scene);
  const program = random.once(3) ? 'bouncer' : 'nic';
  const base = { program, ifindex: nicIfindex, gso_size: 0, again: false } as const;
  const hurt = mutated(random, packet, 14);
  const changed = program === 'nic' ? runnable(hurt) : hurt;
  return cookie && changed.length === packet.length
    ? { ...base, packet: changed, cookie }
    : { ...base, packet: changed };
};

const underlayShot = (scene: Scene): { packet: Buffer; cookie?: CookieAt } => {
  const { random, self } = scene;
  if (random.once(60)) return { packet: cutInOptions(scene) };
  if (scene.flows.length === 0 || !random.once(3)) return underlayPacket(scene);
  const flow = random.pick(scene.flows);
  if (random.once(4)) return aboutFlow(scene, flow);
  const inner = ethernet(
    random.bytes(6),
    macOf(flow.backend),
    0x0800,
    flowPacket(random, flow, random.once(3) ? 'error' : 'back'),
  );
  const from = random.pick(hosts.slice(1));
  const options = random.once(3) ? pathOption(scene, from, false) : Buffer.alloc(0);
  return { packet: tunnelPacket(random, { from, to: self, vni: flow.client.vni, options, inner }) };
};

/** The flow's own packet with a question about the service, or with the answer which backend it has. */
const aboutFlow = (scene: Scene, flow: KnownFlow): { packet: Buffer; cookie: CookieAt } => {
  const { random, self } = scene;
  const from = random.pick(hosts.slice(1));
  const inner = ethernet(gatewayMac, macOf(flow.client.ip), 0x0800, flowPacket(random, flow, 'there'));
  const options = pathOption(scene, from, false);
  if (options.length === 44 && random.once(2)) {
    options.writeUInt8(5, 4);
    pinInto(scene, options.subarray(4));
  }
  const packet = tunnelPacket(random, { from, to: self, vni: flow.client.vni, options, inner });
  return { packet, cookie: { offset: 66, vni: flow.client.vni, ip: latin(flow.service), ago: 0 } };
};

/** Mostly as it is; else bits turned, cut, or made longer. */
const mutated = (random: Random, packet: Buffer, least: number): Buffer => {
  const way = random.below(16);
  if (way > 3) return packet;
  if (way === 0) return packet.subarray(0, Math.max(least, random.below(packet.length + 1)));
  if (way === 1) return Buffer.concat([packet, random.bytes(random.pick([1, 2, 20, 200]))]);
  const copy = Buffer.from(packet);
  // Near the front, where the headers are.
  const reach = random.once(3) ? copy.length : Math.min(copy.length, 100);
  for (let i = random.below(3); i >= 0; i--) {
    const at = random.below(reach);
    copy[at] = random.once(2) ? random.below(256) : (copy[at] ?? 0) ^ (1 << random.below(8));
  }
  // Half of them with a header that is right again.
  if (random.once(2) && copy.length >= 34) seal(copy, 14);
  return copy;
};

const seal = (packet: Buffer, at: number): void => {
  packet.writeUInt16BE(0, at + 10);
  packet.writeUInt16BE(checksum(packet, at, at + 20), at + 10);
};

const ethernet = (to: Uint8Array, from: Uint8Array, type: number, payload: Buffer): Buffer =>
  Buffer.concat([to, from, u16(type), payload]);

const broadcastMac = Buffer.alloc(6, 0xff);
const gatewayMac = Buffer.from([0x02, 0x4d, 0x67, 0x77, 0x00, 0x01]);

const anyIp = (random: Random): Uint8Array => {
  const ip = Buffer.from(ip16('0.0.0.0'));
  ip.set(random.bytes(4), 12);
  return ip;
};

/** Whom a packet of a VPC is for: mostly somebody of it. */
const target = (scene: Scene, from?: Someone): Uint8Array => {
  const { random, vni } = scene;
  const way = random.below(20);
  if (way === 0) return anyIp(random);
  if (way === 1)
    return ip16(
      random.pick([
        '255.255.255.255',
        '224.0.0.251',
        '239.1.2.3',
        '10.0.1.255',
        '10.0.1.0',
        '10.0.3.7',
        '0.0.0.0',
        '127.0.0.1',
      ]),
    );
  if (from && way < 4) return from.subnet.gateway;
  if (scene.services.length > 0 && way < 9) return random.pick(scene.services).ip;
  if (from && way < 14) return random.pick(from.subnet.members);
  return random.pick(scene.people.filter((one) => one.vni === (from?.vni ?? vni))).ip;
};

const tenantFrame = (scene: Scene, from: Scene['ports'][number]): Buffer => {
  const { random } = scene;
  const way = random.below(20);
  const flow = random.once(3)
    ? scene.flows.find((one) => one.client.ifindex === from.ifindex && random.once(2))
    : undefined;
  if (flow)
    return ethernet(gatewayMac, from.mac, 0x0800, flowPacket(random, flow, random.once(8) ? 'complaint' : 'there'));
  const sourceMac = random.once(30) ? random.bytes(6) : from.mac;
  const six = isIp4(from.ip) ? from.other : from;
  if (six && (isIp4(from.ip) ? random.once(2) : !random.once(4)))
    return tenantFrame6(scene, { ...from, ...six }, sourceMac);
  const to = target(scene, from);
  if (way < 6) {
    const arp = arpOf(random, from.mac, from.ip, to);
    return Buffer.concat([
      ethernet(random.once(2) ? broadcastMac : macOf(to), sourceMac, 0x0806, arp),
      Buffer.alloc(random.pick([0, 0, 18, 19])),
    ]);
  }
  if (way < 18) {
    const source = random.once(30) ? target(scene) : from.ip;
    const destinationMac = random.once(10) ? random.bytes(6) : to === from.subnet.gateway ? gatewayMac : macOf(to);
    return ethernet(destinationMac, sourceMac, 0x0800, ip4(random, source, to, from.mtu));
  }
  return oddFrame(random, from.mac, from.ip, to);
};

/** Solicitations, what is said to groups, data, pings. */
const tenantFrame6 = (scene: Scene, from: Port, sourceMac: Buffer): Buffer => {
  const { random } = scene;
  const anybody = random.once(8) ? random.bytes(16) : target(scene, from);
  const to = isIp4(anybody) && !random.once(20) ? random.pick(from.subnet.members) : anybody;
  if (random.once(3)) {
    const source = random.pick([from.ip, from.ip, from.ip, from.ip, linkLocal, linkLocal, nobody, to]);
    const group = Buffer.from([0x33, 0x33, 0xff, ...to.subarray(13)]);
    return ethernet(
      group,
      sourceMac,
      0x86dd,
      neighbourOf(random, source, to, random.once(8) ? random.bytes(6) : from.mac),
    );
  }
  const destination = random.once(12) ? random.pick([groupOfAll, linkLocal]) : to;
  const source = random.once(20) ? random.pick([linkLocal, nobody, to]) : from.ip;
  const destinationMac = random.once(10)
    ? random.bytes(6)
    : destination === from.subnet.gateway
      ? gatewayMac
      : macOf(to);
  return ethernet(destinationMac, sourceMac, 0x86dd, ip6Packet(random, source, destination, from.mtu));
};

const linkLocal = Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
const groupOfAll = Uint8Array.from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

/** A solicitation, sometimes an advertisement, with its option or without. */
const neighbourOf = (
  random: Random,
  source: Uint8Array,
  about: Uint8Array,
  mac: Uint8Array,
  reply = random.once(10),
): Buffer => {
  const option = random.once(4) ? Buffer.alloc(0) : Buffer.from([reply ? 2 : 1, 1, ...mac]);
  const extra = random.once(20) ? random.bytes(8) : Buffer.alloc(0);
  const message = Buffer.concat([
    Buffer.from([reply ? 136 : 135, random.once(40) ? 1 : 0, 0, 0, 0x60, 0, 0, 0]),
    about,
    option,
    extra,
  ]);
  const destination = reply
    ? source
    : Uint8Array.from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...about.subarray(13)]);
  return ip6Header(reply ? about : source, destination, 58, message, { hops: random.once(30) ? 64 : 255 });
};

const ip6Packet = (random: Random, from: Uint8Array, to: Uint8Array, mtu: number): Buffer => {
  const next = random.pick([6, 6, 17, 17, 17, 58, 58, 44, 0, 132] as const);
  const room = Math.max(0, mtu - 40);
  const size = random.pick([0, 4, 7, 8, 20, 24, 64, 200, random.once(3) ? room : 64, random.once(3) ? room + 1 : 64]);
  const payload = Buffer.alloc(size, random.below(256));
  if (next === 58 && size >= 4) payload.set([random.pick([128, 128, 129, 1, 3, 133, 135]), random.once(10) ? 1 : 0], 0);
  const length = random.once(30) ? random.pick([0, size - 1, size + 1, 0xffff]) & 0xffff : size;
  const packet = ip6Header(from, to, next, payload, {
    hops: random.pick([64, 64, 64, 255, 2, 1, 0]),
    tos: random.pick([0, 0, 1, 2, 3, 0xb9]),
    length,
  });
  if (random.once(60)) packet.writeUInt8(random.below(256), 0);
  return packet;
};

const ip6Header = (
  from: Uint8Array,
  to: Uint8Array,
  next: number,
  payload: Buffer,
  { hops = 64, tos = 0, length = payload.length }: { hops?: number; tos?: number; length?: number },
): Buffer => {
  const header = Buffer.alloc(40);
  header.writeUInt32BE((0x60000000 | (tos << 20) | 0x12345) >>> 0, 0);
  header.writeUInt16BE(length, 4);
  header.set([next, hops], 6);
  header.set(from, 8);
  header.set(to, 24);
  return Buffer.concat([header, payload]);
};

const arpOf = (random: Random, mac: Uint8Array, sender: Uint8Array, to: Uint8Array): Buffer =>
  Buffer.concat([
    u16(random.once(40) ? 6 : 1),
    u16(random.once(40) ? 0x86dd : 0x0800),
    Buffer.from([random.once(40) ? 8 : 6, random.once(40) ? 16 : 4]),
    u16(random.pick([1, 1, 1, 1, 1, 1, 1, 1, 2, 3])),
    random.once(30) ? random.bytes(6) : mac,
    (random.once(20) ? ip16('0.0.0.0') : random.once(30) ? anyIp(random) : sender).subarray(12),
    random.once(2) ? Buffer.alloc(6) : macOf(to),
    to.subarray(12),
  ]);

const somePorts = [...clientPorts, ...servicePorts, backendPort];

/** A packet of a flow: as its client sends it, as the backend answers, or an error about it. */
const flowPacket = (random: Random, flow: KnownFlow, way: 'there' | 'back' | 'error' | 'complaint'): Buffer => {
  const { client, service, backend, seenAs, client_port, service_port, protocol } = flow;
  if (way === 'error') {
    const payload = Buffer.alloc(64);
    icmpErrorInto(random, payload, backend, seenAs);
    if (!random.once(8)) payload.writeUInt8(protocol, 17);
    payload.writeUInt16BE(client_port, 28);
    return ip4Packet(random.once(4) ? service : backend, client.ip, 1, payload);
  }
  if (way === 'complaint') {
    // The client's own error, about an answer.
    const payload = Buffer.alloc(64);
    icmpErrorInto(random, payload, client.ip, service);
    payload.writeUInt8(protocol, 17);
    payload.writeUInt16BE(service_port, 28);
    payload.writeUInt16BE(client_port, 30);
    return ip4Packet(client.ip, service, 1, payload);
  }
  const payload = Buffer.alloc(random.pick([4, 8, 18, 20, 64, 64, 64]));
  const [from, to] = way === 'there' ? [client.ip, service] : [backend, seenAs];
  transport(random, protocol, payload, from, to);
  payload.writeUInt16BE(way === 'there' ? client_port : backendPort, 0);
  payload.writeUInt16BE(way === 'there' ? service_port : client_port, 2);
  return ip4Packet(from, to, protocol, payload);
};

const ip4Packet = (from: Uint8Array, to: Uint8Array, protocol: number, payload: Buffer): Buffer => {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(0x4500, 0);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE((64 << 8) | protocol, 8);
  header.set(from.subarray(12), 12);
  header.set(to.subarray(12), 16);
  header.writeUInt16BE(checksum(header, 0, 20), 10);
  return Buffer.concat([header, payload]);
};

/** Ports that services know, flags, and a sum that is right, wrong or none. */
const transport = (random: Random, protocol: 6 | 17, payload: Buffer, from: Uint8Array, to: Uint8Array): void => {
  const answers = random.once(2);
  payload.writeUInt16BE(random.once(8) ? random.pick(somePorts) : answers ? backendPort : random.pick(clientPorts), 0);
  payload.writeUInt16BE(
    random.once(8) ? random.pick(somePorts) : answers ? random.pick(clientPorts) : random.pick(servicePorts),
    2,
  );
  if (protocol === 6 && payload.length > 13) payload.writeUInt8(random.pick([2, 2, 18, 16, 16, 17, 4, 24, 0]), 13);
  const sum = protocol === 6 ? 16 : 6;
  if (payload.length < sum + 2) return;
  payload.writeUInt16BE(0, sum);
  if (random.once(4)) return;
  const pseudo = Buffer.concat([
    from.subarray(12),
    to.subarray(12),
    Buffer.from([0, protocol]),
    u16(payload.length),
    payload,
  ]);
  payload.writeUInt16BE(random.once(8) ? random.pick([0xffff, 1, 0x1234]) : checksum(pseudo, 0, pseudo.length), sum);
};

/** `from` says that what `to` sent it, as flows are translated, did not arrive. */
const icmpErrorInto = (random: Random, payload: Buffer, from: Uint8Array, to: Uint8Array): void => {
  payload.fill(0, 0, 36);
  payload.writeUInt8(random.pick([3, 3, 3, 11, 12, 5]), 0);
  payload.writeUInt16BE(random.once(20) ? 0x4600 : 0x4500, 8);
  payload.writeUInt16BE(payload.length - 8, 10);
  payload.writeUInt8(random.pick([6, 17, 17, 1]), 17);
  payload.set(to.subarray(12), 20);
  payload.set(random.once(6) ? random.bytes(4) : from.subarray(12), 24);
  payload.writeUInt16BE(checksum(payload, 8, 28), 18);
  payload.writeUInt16BE(random.pick(clientPorts), 28);
  payload.writeUInt16BE(backendPort, 30);
  payload.writeUInt16BE(0, 2);
  payload.writeUInt16BE(checksum(payload, 0, payload.length), 2);
};

const ip4 = (random: Random, from: Uint8Array, to: Uint8Array, mtu: number): Buffer => {
  const options = random.once(8) ? random.bytes(4 * random.below(11)) : Buffer.alloc(0);
  const protocol = random.pick([1, 1, 6, 6, 6, 17, 17, 17, 17, 132, 0, 255] as const);
  const room = Math.max(0, mtu - 20 - options.length);
  const size = random.pick([0, 1, 7, 8, 20, 64, 200, random.once(4) ? room : 64, random.once(4) ? room + 1 : 64]);
  const payload = Buffer.alloc(size, random.below(256));
  if ((protocol === 6 || protocol === 17) && size >= 4) transport(random, protocol, payload, from, to);
  if (protocol === 1 && size >= 64 && random.once(2)) icmpErrorInto(random, payload, from, to);
  else if (protocol === 1 && size >= 8) {
    payload.set([random.pick([8, 8, 8, 0, 3]), random.once(10) ? 1 : 0], 0);
    payload.writeUInt16BE(random.once(4) ? random.pick([0xf7ff, 0, 0xffff]) : 0, 2);
    if (!random.once(4)) payload.writeUInt16BE(checksum(payload, 0, payload.length), 2);
  }
  const header = Buffer.alloc(20);
  const words = 5 + options.length / 4;
  header.writeUInt8(0x40 | (random.once(60) ? random.below(16) : words), 0);
  header.writeUInt8(random.pick([0, 0, 0, 1, 2, 3, 0xb9]), 1);
  const length = words * 4 + payload.length;
  header.writeUInt16BE(random.once(30) ? random.pick([0, 19, length - 1, length + 1, 0xffff]) & 0xffff : length, 2);
  header.writeUInt16BE(random.below(65536), 4);
  header.writeUInt16BE(random.pick([0, 0, 0x4000, 0x4000, 0x2000, 0x2010, 0x0010, 0x8000]), 6);
  header.writeUInt8(random.pick([64, 64, 64, 255, 2, 1, 0]), 8);
  header.writeUInt8(protocol, 9);
  header.set(from.subarray(12), 12);
  header.set(to.subarray(12), 16);
  const packet = Buffer.concat([header, options, payload]);
  packet.writeUInt16BE(
    random.once(10) ? random.below(65536) : checksum(packet, 0, Math.min(words * 4, packet.length)),
    10,
  );
  return packet;
};

/** Frames of other protocols: IPv6 and its neighbour discovery, tags, noise. */
const oddFrame = (random: Random, mac: Uint8Array, sender: Uint8Array, to: Uint8Array): Buffer => {
  switch (random.below(5)) {
    case 0:
      return ethernet(
        random.bytes(6),
        mac,
        random.pick([0x8100, 0x88a8]),
        Buffer.concat([Buffer.from([0, 5, 8, 0]), random.bytes(40)]),
      );
    case 1:
      return ethernet(
        random.bytes(6),
        mac,
        0x86dd,
        Buffer.concat([
          Buffer.from([0x60, 0, 0, 0, 0, 24, 58, 255]),
          sender,
          to,
          Buffer.from([135, 0, 0, 0, 0, 0, 0, 0]),
          to,
        ]),
      );
    case 2:
      return ethernet(random.bytes(6), mac, random.below(65536), random.bytes(random.below(80)));
    case 3:
      return Buffer.concat([random.bytes(14), random.bytes(random.below(80))]);
    default:
      return ethernet(random.bytes(6), mac, 0x0800, random.bytes(random.below(60)));
  }
};

const underlayPacket = (scene: Scene): { packet: Buffer; cookie?: CookieAt } => {
  const { random, self } = scene;
  const vni = random.once(12) ? random.pick([...vnis, random.below(1 << 24)]) : scene.vni;
  const from = random.once(15) ? random.pick(strangers) : random.once(20) ? self : random.pick(hosts.slice(1));
  const members = scene.people.filter((one) => one.vni === scene.vni);
  const someone = scene.services.length > 0 && random.once(2) ? random.pick(scene.services) : random.pick(members);
  const remote = someone.ip;
  const gone = scene.left.length > 0 && random.once(5) ? random.pick(scene.left) : undefined;
  const here = scene.ports.filter((port) => port.vni === vni);
  const family = here
    .flatMap((port) => [port.ip, ...(port.other ? [port.other.ip] : [])])
    .filter((ip) => isIp4(ip) === isIp4(remote));
  const local = family.length > 0 && !random.once(6) ? random.pick(family) : random.pick(members).ip;
  const answering = random.once(3);
  const kind = random.below(10);
  // An ARP reply comes from whom it is about; any other answer brings the endpoint's own packet back.
  const [source, destination] =
    answering && kind >= 4
      ? [local, remote]
      : [
          remote,
          answering || random.once(2) ? local : (gone ?? (random.once(2) ? target(scene) : random.pick(members).ip)),
        ];
  const inner =
    kind < 4
      ? innerRequest(random, source, destination, answering)
      : kind < 9
        ? dataFrame(random, source, destination)
        : oddFrame(random, macOf(source), source, destination);
  const isReply = kind < 4 && answering;
  // An answer is about whom it comes from when it is an ARP reply, else about whom the packet inside is for.
  const about = isReply ? source : destination;
  const options: Buffer[] = [];
  let pathAt: number | undefined;
  const decoration = (): Buffer =>
    random.once(8)
      ? optionOf(
          random.once(10) ? 0x0102 : 0xff4d,
          random.once(8) ? random.below(256) : 2,
          random.bytes(4 * random.below(4)),
        )
      : Buffer.alloc(0);
  options.push(decoration());
  if (!random.once(4)) {
    pathAt = 50 + options.reduce((sum, one) => sum + one.length, 0);
    options.push(pathOption(scene, from, answering));
    if (random.once(40)) options.push(pathOption(scene, from, answering));
  }
  options.push(decoration());
  if (random.once(30)) for (let i = 0; i < 5; i++) options.push(decoration());
  const bytes = Buffer.concat(options);
  const packet = tunnelPacket(random, {
    from,
    to: random.once(40) ? random.pick(hosts) : self,
    vni,
    options: bytes,
    inner,
  });
  if (pathAt === undefined) return { packet };
  const ago = random.pick([0, 0, 0, 0, 1, 1, 2, -1, 9]);
  if (ago === 9) return { packet };
  const lie = random.once(20);
  return {
    packet,
    cookie: {
      offset: pathAt + 16,
      vni: random.once(30) ? 8 : vni,
      ip: latin(lie ? target(scene) : about),
      ago,
    },
  };
};

const innerRequest = (random: Random, source: Uint8Array, destination: Uint8Array, reply: boolean): Buffer => {
  if (isIp4(source)) return innerArp(random, source, destination, reply);
  const body = reply
    ? neighbourOf(random, destination, source, macOf(source), true)
    : neighbourOf(random, source, destination, macOf(source), false);
  return ethernet(reply ? macOf(destination) : macOf(source), macOf(source), 0x86dd, body);
};

/** Of the sender's family, whatever the other's is. */
const dataFrame = (random: Random, source: Uint8Array, destination: Uint8Array): Buffer =>
  isIp4(source)
    ? ethernet(macOf(destination), macOf(source), 0x0800, ip4(random, source, destination, 1386))
    : ethernet(macOf(destination), macOf(source), 0x86dd, ip6Packet(random, source, destination, 1386));

/** The packet ends, honestly, before the options that Geneve's header announces. */
const cutInOptions = ({ random, self, vni }: Scene): Buffer => {
  const options = Buffer.concat([
    optionOf(0xff4d, 2, random.bytes(4)),
    optionOf(0xff4d, 2, random.bytes(4 * random.below(3))),
  ]);
  const packet = tunnelPacket(random, { from: hosts[1] as Uint8Array, to: self, vni, options, inner: Buffer.alloc(0) });
  packet.writeUInt8(random.below(64), 42);
  return packet;
};

const innerArp = (random: Random, source: Uint8Array, destination: Uint8Array, reply: boolean): Buffer => {
  const arp = arpOf(random, macOf(source), source, destination);
  if (!random.once(20)) arp.writeUInt16BE(reply ? 2 : 1, 6);
  return Buffer.concat([
    ethernet(reply ? macOf(destination) : broadcastMac, macOf(source), 0x0806, arp),
    Buffer.alloc(random.pick([0, 0, 0, 18])),
  ]);
};

const optionOf = (optionClass: number, type: number, body: Buffer): Buffer =>
  Buffer.concat([u16(optionClass), Buffer.from([type, body.length / 4]), body]);

const pathOption = (scene: Scene, from: Uint8Array, answering: boolean): Buffer => {
  const { random } = scene;
  const ops = answering
    ? [2, 2, 2, 2, 3, 3, 4, 4, 6, ...(scene.services.length > 0 ? [5, 5, 5] : [5])]
    : [1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 6];
  const body = Buffer.alloc(40);
  const hops = random.once(2) ? 0 : random.pick([0, 1, 1, 2, 3, 4, 5, 255]);
  body.writeUInt8(random.once(40) ? random.below(256) : random.pick(ops), 0);
  body.writeUInt8(hops, 1);
  body.writeUInt16BE(random.once(3) ? random.below(16) : random.once(40) ? random.below(65536) : 0, 2);
  body.writeUInt32BE(random.pick([0, 1, 3, 3, 4, 5, 0xffffffff]), 4);
  body.writeUInt32BE(random.once(8) ? random.pick([0, 2, 0xffffff, 9, 0xffffffff]) : 1, 8);
  body.set(random.bytes(8), 12);
  body.writeBigUInt64BE(random.once(30) ? random.bytes(8).readBigUInt64BE(0) : BigInt(generation(random)), 20);
  const asker = hops ? random.pick(hosts) : from;
  body.set(
    (random.once(12) ? random.pick([...strangers, ...hosts]) : answering ? random.pick(hosts) : asker).subarray(12),
    28,
  );
  body.set(random.bytes(6), 32);
  if (body[0] === 5) pinInto(scene, body);
  if (random.once(40)) return optionOf(0xff4d, 0x81, body.subarray(0, 4 * random.below(10)));
  return optionOf(0xff4d, 0x81, body);
};

const pinInto = (scene: Scene, body: Buffer): void => {
  const { random, vni } = scene;
  body.fill(0, 20);
  body.writeUInt16BE(random.pick([0, 0, 1, 1, 2]), 38);
  if (random.once(4)) return;
  body.set(random.once(30) ? random.bytes(16) : random.pick(scene.people.filter((one) => one.vni === vni)).ip, 20);
  body.writeUInt16BE(backendPort, 36);
};

const tunnelPacket = (
  random: Random,
  { from, to, vni, options, inner }: { from: Uint8Array; to: Uint8Array; vni: number; options: Buffer; inner: Buffer },
): Buffer => {
  const geneve = Buffer.alloc(8);
  const words = options.length / 4;
  const claimed = random.once(40) ? random.below(64) : words & 63;
  geneve.writeUInt8((random.once(60) ? 0x40 : 0) | claimed, 0);
  geneve.writeUInt8(options.length ? 0x40 : 0, 1);
  geneve.writeUInt16BE(random.once(60) ? 0x0800 : 0x6558, 2);
  geneve.writeUIntBE(vni, 4, 3);
  const payload = Buffer.concat([geneve, options, inner]);
  const udp = Buffer.concat([
    u16(random.once(2) ? 50_000 : random.below(65536)),
    u16(random.once(60) ? 4789 : 6081),
    u16(random.once(40) ? random.below(65536) : 8 + payload.length),
    u16(random.once(5) ? random.below(65536) : 0),
  ]);
  const header = Buffer.alloc(20);
  header.writeUInt8(random.once(60) ? 0x46 : 0x45, 0);
  header.writeUInt8(random.pick([0, 0, 0, 2, 3, 1]), 1);
  const length = 20 + udp.length + payload.length;
  header.writeUInt16BE(random.once(40) ? random.pick([0, 30, 35, 36, length + 1, 0xffff]) : length, 2);
  header.writeUInt16BE(random.once(40) ? 0x2000 : 0x4000, 6);
  header.writeUInt8(random.pick([64, 64, 48, 32, 17, 16, 1]), 8);
  header.writeUInt8(random.once(60) ? 6 : 17, 9);
  header.set(from.subarray(12), 12);
  header.set(to.subarray(12), 16);
  header.writeUInt16BE(random.once(60) ? random.below(65536) : checksum(header, 0, 20), 10);
  return ethernet(hostMac(to), hostMac(from), random.once(60) ? 0x86dd : 0x0800, Buffer.concat([header, udp, payload]));
};

/** Of every generated world; the cookies in packets are made with it. */
export const fuzzConfig = (world: World): Config => {
  const entry = world.entries.find(({ map }) => map === 'config');
  if (entry?.map !== 'config') throw new Error('a world without a config');
  const words = Buffer.from(entry.value.secret);
  return {
    self: latin(entry.value.self),
    nic: entry.value.nic,
    secret: [words.readBigUInt64LE(0), words.readBigUInt64LE(8)],
    soft_lease_ns: Number(entry.value.soft_lease_ns),
    hard_lease_ns: Number(entry.value.hard_lease_ns),
    check_ns: Number(entry.value.check_ns),
    retry_ns: Number(entry.value.retry_ns),
    negative_ns: Number(entry.value.negative_ns),
    ask_interval_ns: Number(entry.value.ask_interval_ns),
    ask_burst_ns: Number(entry.value.ask_burst_ns),
  };
};
