/** The walk of what a tenant sends (design §4). */
import type { VerdictWord } from '@megrez/abi';
import { askPort, echoReply, encapsulate, flowPort, optionOf, probeOf, replyTo, routed, withMacs } from './build';
import { type Address, ip4At, isIn, isLinkLocal, zero } from './bytes';
import { type ErrorKind, errorTo } from './error';
import {
  type Ask,
  cookieIn,
  isBelieved,
  isDenied,
  isService,
  lifeOf,
  pathTo,
  probe_ns,
  probeDue,
  spend,
  whomToAsk,
  windowOf,
} from './learn';
import { ETHERNET, type Frame, frameOf, gatewayMac, IP4, IP6, NEIGHBOUR, op } from './packet';
import type { Run, Step } from './run';
import {
  choose,
  close,
  errorUndone,
  establish,
  flowAt,
  livingFlow,
  noteClient,
  pin,
  see,
  spreadOf,
  tcpFlags,
  translated,
  undone,
} from './service';
import { about, type Config, elapsed, type Path, type Port, type Reach } from './state';

const anySender = `${'\0'.repeat(10)}\xff\xff${'\0'.repeat(4)}`;
const limitedBroadcast = `${'\0'.repeat(10)}${'\xff'.repeat(6)}`;
/** A frame's least size: what is behind is not ARP. */
const arpFrameMax = 60;

/** What the stages of one packet share. */
interface Sent extends Run {
  readonly config: Config;
  readonly port: Port;
  /** The endpoint's address of the frame's family. */
  readonly reach: Reach;
  readonly frame: Frame;
  /** Whom it is for: of a service's flow, the backend. */
  readonly to: Address;
  /** To another subnet: the gateway is a hop. */
  readonly isRouted: boolean;
  /** A backend for the service's flow is asked for. */
  readonly spread?: number;
}

type Result = VerdictWord | Omit<Step, 'vni'>;

export const endpoint = (run: Run): Step => {
  const port = run.state.ports.get(run.ifindex);
  const { config } = run.state;
  if (!port || !config) return { verdict: 'no_port', vni: 0 };
  const frame = frameOf(run.packet, 0);
  if (typeof frame === 'string') return { verdict: frame, vni: port.vni };
  const reach = frame.family === 'ip6' ? port.ip6 : port.ip4;
  const isRouted = frame.kind === 'packet' && !isIn(frame.destination, reach.network, reach.mask);
  const sent: Sent = { ...run, config, port, reach, frame, isRouted, to: frame.destination };
  const step = checkSource(sent) ?? (frame.kind === 'packet' ? ip(sent) : neighbour(sent));
  return typeof step === 'string' ? { verdict: step, vni: port.vni } : { ...step, vni: port.vni };
};

const checkSource = ({ frame, port, reach }: Sent): VerdictWord | undefined => {
  if (!frame.sourceMac.equals(port.mac)) return 'spoofed_mac';
  // Nothing of a family that the endpoint does not have.
  if (reach.ip === zero) return 'ethertype';
  if (frame.kind !== 'packet') return undefined;
  // What an interface says to its neighbours before it has an address concerns nobody.
  if (frame.family === 'ip6' && isGroup6(frame.destination)) return 'multicast';
  return frame.source === reach.ip ? undefined : 'spoofed_ip';
};

const isGroup6 = (address: Address): boolean => address.charCodeAt(0) === 0xff;

const findOwner = ({ state, config, port, to, ifindex, isRouted, spread, now }: Sent): ReturnType<typeof whomToAsk> =>
  whomToAsk(state, config, { vni: port.vni, subnet: port.subnet, ip: to, ifindex, routed: isRouted, spread }, now);

const asking = (
  { config, port, to, now }: Sent,
  { subnet, epoch, flags }: { subnet: number; epoch: number; flags: number },
): Buffer =>
  optionOf({
    op: op.ask,
    epoch,
    subnet,
    flags,
    cookie: cookieIn(config, port.vni, to, windowOf(now)),
    host: config.self,
  });

/** A clone of the asking packet goes to the owner that owes an answer. */
const probing = (
  { state, config, now, interfaces }: Sent,
  asked: Buffer,
  suspect: Address | undefined,
): Step['emitted'] => {
  const hop = suspect === undefined ? undefined : state.next_hops.get(suspect);
  if (suspect === undefined || !hop || !probeDue(state, suspect, now) || !interfaces.has(hop.ifindex)) return [];
  return [{ ifindex: hop.ifindex, packet: probeOf(config, asked, suspect, hop) }];
};

// ---- ARP, and neighbour discovery

const neighbour = (sent: Sent): Result => {
  const { packet, frame, port, reach, state, config, now } = sent;
  const refused = frame.family === 'arp' ? checkArp(sent) : checkSolicitation(sent);
  if (refused) return refused;
  const target = frame.destination;
  if (target === reach.ip) return 'arp_self';
  if (frame.kind !== 'request') return 'arp_reply';
  if (!isIn(target, reach.network, reach.mask)) return 'no_route';
  const answered = (mac: Buffer, verdict: VerdictWord): Result => ({
    verdict,
    action: 'redirect',
    packet: replyTo(packet, 0, frame, mac, verdict === 'arp_gateway'),
  });
  if (target === reach.gateway) return answered(gatewayMac, 'arp_gateway');
  const local = state.endpoints.get(about(port.vni, target));
  if (local) return answered(local.mac, 'arp_local');
  const path = pathTo(state, port.vni, target);
  // A service that was learned of by data has no link-layer address yet.
  const isFresh = path?.state === 'service' && elapsed(path.told_at, now) < config.hard_lease_ns;
  if (isFresh && path.mac[0]) return answered(path.mac, 'arp_path');
  // An endpoint that was here would have answered itself.
  if (isBelieved(config, path, now) && path.host !== config.self) return answered(path.mac, 'arp_path');
  if (isDenied(config, path, now)) return 'unknown_address';
  const ask = findOwner(sent);
  if (ask === 'known') return answered((pathTo(state, port.vni, target) as Path).mac, 'arp_owned');
  const service = state.services.get(about(port.vni, target));
  if (ask === 'served' && service) return answered(service.mac, 'arp_owned');
  if (typeof ask === 'string') return ask as VerdictWord;
  return frame.family === 'arp' ? askArp(sent, ask) : sendVia(sent, ask);
};

const checkArp = ({ packet, frame, port }: Sent): VerdictWord | undefined => {
  if (packet.length > arpFrameMax) return 'malformed';
  const senderMac = packet.subarray(ETHERNET + 8, ETHERNET + 14);
  const isOwn = senderMac.equals(port.mac) && (frame.source === anySender || frame.source === port.ip4.ip);
  return isOwn ? undefined : 'spoofed_arp';
};

const checkSolicitation = ({ packet, frame, port }: Sent): VerdictWord | undefined => {
  if (frame.kind === 'reply') return 'arp_reply';
  // Duplicate address detection has no sender yet.
  if (frame.source === zero) return 'arp_self';
  const option = ETHERNET + IP6 + NEIGHBOUR;
  if (packet.length >= option + 8 && !packet.subarray(option + 2, option + 8).equals(port.mac)) return 'spoofed_arp';
  return frame.source === port.ip6.ip || isLinkLocal(frame.source) ? undefined : 'spoofed_arp';
};

const askArp = (sent: Sent, ask: Ask): Result => {
  const { config, port, packet, frame, state } = sent;
  const hop = state.next_hops.get(ask.to);
  if (!hop) return 'no_next_hop';
  const inner = Buffer.from(packet);
  // The answer to a probe would have no address to go to.
  if (frame.source === anySender) inner.write(port.ip4.ip.slice(12), ETHERNET + 14, 'latin1');
  const asked = encapsulate(
    {
      config,
      macs: Buffer.concat([hop.destination, hop.source]),
      to: ask.to,
      vni: port.vni,
      port: askPort(port.vni, ask.to),
      tos: 0,
      option: asking(sent, ask),
    },
    inner,
  );
  return { verdict: 'ask_arp', action: 'redirect', packet: asked, emitted: probing(sent, asked, ask.suspect) };
};

// ---- IP

const ip = (sent: Sent): Result => {
  const { packet, frame, reach } = sent;
  if (frame.destination === reach.gateway) {
    const reply = echoReply(packet, frame);
    return reply ? { verdict: 'ping_gateway', action: 'redirect', packet: reply } : 'to_gateway';
  }
  const refused = checkDestination(sent);
  if (refused) return refused;
  if (isTooBig(sent)) return fail(sent, 'too_big');
  // Its own host sends it on its way again: that is no hop.
  if (!sent.isRouted || sent.again) return route(sent);
  if (frame.ttl <= 1) return fail(sent, 'expired');
  return route({ ...sent, packet: routed(packet, frame) });
};

const checkDestination = ({ frame, reach, isRouted }: Sent): VerdictWord | undefined => {
  const to = frame.destination;
  if (to === reach.ip) return 'to_self';
  if (frame.family === 'ip6') return isLinkLocal(to) ? 'no_route' : undefined;
  if (to.charCodeAt(12) >> 4 === 0xe) return 'multicast';
  if (to === limitedBroadcast) return 'broadcast';
  return !isRouted && isLast(to, reach.mask) ? 'broadcast' : undefined;
};

/** All ones behind the prefix. */
const isLast = (address: Address, mask: Address): boolean => {
  for (let i = 12; i < 16; i++) if ((address.charCodeAt(i) | mask.charCodeAt(i)) !== 0xff) return false;
  return true;
};

const isTooBig = ({ gso_size, frame, packet, port }: Sent): boolean =>
  gso_size > 0
    ? gso_size + (frame.family === 'ip6' ? IP6 : IP4) + (frame.protocol === 6 ? 20 : 8) > port.mtu
    : packet.length - ETHERNET > port.mtu;

/** The sender hears, from its gateway, why its packet does not go on. */
const fail = (sent: Sent, kind: ErrorKind): Result => {
  const { state, port, packet, ifindex, now, gso_size } = sent;
  return errorTo(state, { port, ifindex, packet, family: sent.frame.family, kind, now, gso: gso_size > 0 });
};

const route = (sent: Sent): Result =>
  pathTo(sent.state, sent.port.vni, sent.to)?.state === 'service' ? serve(sent) : send(sent);

/** To a service: translated, when its flow has a backend; else that is asked for. */
const serve = (sent: Sent): Result => {
  const { state, packet, port, now } = sent;
  const key = flowAt(packet, ETHERNET, port.vni);
  if (key === 'service_protocol') return serveOther(sent);
  if (typeof key === 'string') return key;
  const flags = tcpFlags(packet, ETHERNET);
  const flow = livingFlow(state, key, flags.opens, now);
  if (!flow) return sendAsking({ ...sent, spread: spreadOf(key) });
  see(state, flow, now);
  const inner = translated(packet, flow);
  const to = flow.destination;
  if (flags.ends) close(state, key);
  // A backend that is its own client: both ends of the flow are seen here, and nowhere else.
  else if (flow.state === 'new' && flags.acknowledges && to === port.ip4.ip) establish(state, key);
  return send({ ...sent, to, packet: inner, isRouted: !isIn(to, port.ip4.network, port.ip4.mask) });
};

/** Of an ICMP error in a bare frame, without IP options. */
const quotedDestination = ETHERNET + IP4 + 8 + 16;

/** What has no flow: a ping; or a client's error about an answer, which goes to the backend, be it the client itself. */
const serveOther = (sent: Sent): Result => {
  const { state, packet, port } = sent;
  const ping = pingService(sent);
  // About a packet to this endpoint, and nobody else's.
  const isOwn = packet.length >= quotedDestination + 4 && ip4At(packet, quotedDestination) === port.ip4.ip;
  const error = ping === 'service_protocol' && isOwn ? errorUndone(state, packet, port.vni) : undefined;
  if (!error) return ping;
  const to = ip4At(error, ETHERNET + 16);
  return send({ ...sent, packet: error, to, isRouted: !isIn(to, port.ip4.network, port.ip4.mask) });
};

const pingService = ({ packet, frame }: Sent): Result => {
  const reply = echoReply(packet, frame);
  return reply ? { verdict: 'ping_service', action: 'redirect', packet: reply } : 'service_protocol';
};

/** This host is a bouncer of the service: it gives the flow its backend, and the packet sets out again. */
const serveHere = (sent: Sent): Result => {
  const { state, packet, port, ifindex, to, now } = sent;
  const key = flowAt(packet, ETHERNET, port.vni);
  if (key === 'service_protocol') return pingService(sent);
  if (typeof key === 'string') return key;
  const backend = choose(state, key);
  if ('told' in backend) return backend.told ? fail(sent, 'no_backend') : 'no_backend';
  if (!pin(state, key, backend, ifindex, now)) return 'no_backend';
  noteClient(state, ifindex, now);
  isService(state, port.vni, to, now);
  return { verdict: 'told_service', action: 'redirect', packet };
};

const send = (sent: Sent): Result => {
  const { packet, port, state, config, now, to } = sent;
  const local = state.endpoints.get(about(port.vni, to));
  if (local) {
    if (!local.ifindex) return 'not_here';
    const inner = undone(state, packet, local.ifindex, port.vni, now);
    return {
      verdict: 'local',
      action: 'redirect',
      packet: withMacs(inner, local.mac, sourceMac(sent)),
      received: { ifindex: local.ifindex, bytes: packet.length },
    };
  }
  const path = pathTo(state, port.vni, to);
  if (isDenied(config, path, now)) return fail(sent, 'unreachable');
  // Nor is a path believed that leads here, where the endpoint is not.
  return isBelieved(config, path, now) && path.host !== config.self ? sendKnown(sent, path) : sendAsking(sent);
};

/** Packets of another subnet come from the gateway. */
const sourceMac = ({ isRouted, frame }: Sent): Buffer => (isRouted ? gatewayMac : frame.sourceMac);

const sendAsking = (sent: Sent): Result => {
  const ask = findOwner(sent);
  if (ask === 'known') return sendDirect(sent, pathTo(sent.state, sent.port.vni, sent.to) as Path);
  // Pinned here or asked for elsewhere: a flow costs its endpoint the same.
  if (ask === 'served') return spend(sent.state, sent.config, sent.ifindex, sent.now) ? serveHere(sent) : 'ask_budget';
  if (ask === 'unknown_address') return fail(sent, 'unreachable');
  return typeof ask === 'string' ? ask : sendVia(sent, ask);
};

const sendKnown = (sent: Sent, path: Path): Result => {
  const { state, config, now, gso_size, port } = sent;
  // Streams wait for a smaller packet to come along: they ask nobody for a sign of life, and later for the rest.
  const isWatched = gso_size === 0 && elapsed(path.live_at, now) >= probe_ns;
  const life = isWatched ? lifeOf(state, path.host, now) : 'alive';
  if (isWatched && life === 'alive') path.live_at = now;
  const check_ns = life === 'silent' ? probe_ns : config.check_ns;
  const renew_ns = gso_size ? Math.floor((config.soft_lease_ns + config.hard_lease_ns) / 2) : config.soft_lease_ns;
  const isDue = elapsed(path.told_at, now) >= renew_ns && elapsed(path.asked_at, now) >= config.retry_ns;
  if (elapsed(path.checked_at, now) >= (gso_size ? check_ns + Math.floor(check_ns / 2) : check_ns)) {
    const ask = findOwner(sent);
    if (typeof ask !== 'string') return sendVia(sent, ask);
    if (ask === 'unknown_address') return fail(sent, 'unreachable');
    if (ask === 'known') return sendDirect(sent, pathTo(state, path.vni, path.ip) as Path);
    // A check that cannot be made takes nothing away, and is tried again before long.
    path.checked_at = life === 'silent' ? now : now - config.check_ns + config.retry_ns;
  }
  if (life !== 'ask' && !isDue) return sendDirect(sent, path);
  path.asked_at = now;
  const question = { subnet: sent.isRouted ? 0 : port.subnet, epoch: 0, flags: 0 };
  return tunnelled(sent, 'direct_ask', { to: path.host, mac: path.mac, option: asking(sent, question) });
};

const sendDirect = (sent: Sent, path: Path): Result =>
  // It was here, and is not any more, or not yet.
  path.host === sent.config.self ? 'not_here' : tunnelled(sent, 'direct', { to: path.host, mac: path.mac });

const sendVia = (sent: Sent, ask: Ask): Result => {
  const verdict = sent.frame.kind === 'request' ? 'ask_arp' : 'ask_data';
  const step = tunnelled(sent, verdict, { to: ask.to, mac: sent.frame.destinationMac, option: asking(sent, ask) });
  if (typeof step === 'string' || !step.packet) return step;
  return { ...step, emitted: probing(sent, step.packet, ask.suspect) };
};

const tunnelled = (
  sent: Sent,
  verdict: VerdictWord,
  { to, mac, option }: { to: Address; mac: Buffer; option?: Buffer },
): Result => {
  const { config, port, packet, frame, gso_size } = sent;
  // A test run cannot say which kind of segments: the kernel makes no room in front of them.
  if (gso_size > 0) return 'kernel';
  return {
    verdict,
    action: 'redirect',
    packet: encapsulate(
      {
        config,
        // A solicitation is addressed to a group, which no next hop is.
        macs: frame.kind === 'request' ? withMacs(packet, port.mac, port.mac).subarray(0, 14) : packet.subarray(0, 14),
        to,
        vni: port.vni,
        port: flowPort(packet),
        tos: frame.tos,
        ...(option && { option }),
      },
      withMacs(packet, mac, sourceMac(sent)),
    ),
  };
};
