/** The walk of what the underlay brings, on its two hooks (design §3, §4). */
import type { VerdictWord } from '@megrez/abi';
import {
  answer,
  decapsulate,
  echoed,
  encapsulate,
  gone,
  goneWithData,
  notice,
  noticePort,
  optionOf,
  passedOn,
  pinAnswer,
  redirected,
  reversed,
  serviceAnswer,
  withMacs,
} from './build';
import { type Address, ip4At, zero } from './bytes';
import { type ErrorKind, errorTo } from './error';
import {
  askFlag,
  cookieHolds,
  denied,
  forget,
  heard,
  isHolder,
  isService,
  mayDeny,
  noticeDue,
  ownersOf,
  routeOf,
  told,
} from './learn';
import {
  ETHERNET,
  type Frame,
  frameOf,
  gatewayMac,
  isUnderlay,
  op,
  type Question,
  questionOf,
  type Tunnel,
  tunnelOf,
} from './packet';
import type { Run, Step } from './run';
import { choose, flowAt, livingFlow, noteClient, pin, pinBody, tcpFlags, undone } from './service';
import { about, type Config, type Endpoint, type Mapping, type State, type Tombstone } from './state';

/** What passing on costs a packet without an option of the outer time to live. */
const passingCost = 16;
const hopsMax = 4;

interface Arrived extends Run {
  readonly config: Config;
  readonly tunnel: Tunnel;
  readonly frame: Frame;
}
type Asked = Arrived & { readonly tunnel: Tunnel & { readonly option: number } };
type Result = VerdictWord | Omit<Step, 'vni'>;

const isAsked = (arrived: Arrived): arrived is Asked => arrived.tunnel.option !== undefined;

/** tcx ingress of the underlay's interface. */
export const nic = (run: Run): Step => {
  const { config } = run.state;
  if (!config) return { verdict: 'pass', vni: 0 };
  const tunnel = tunnelOf(run.packet, config);
  if ('verdict' in tunnel) return tunnel;
  const step = walk(run, config, tunnel);
  return typeof step === 'string' ? { verdict: step, vni: tunnel.vni } : { ...step, vni: tunnel.vni };
};

const walk = (run: Run, config: Config, tunnel: Tunnel): Result => {
  const { packet, state } = run;
  if (!isUnderlay(state, tunnel.source)) return 'forged_source';
  heard(state, tunnel.source, run.now);
  const frame = frameOf(packet, tunnel.inner);
  if (typeof frame === 'string') return frame;
  const arrived: Arrived = { ...run, config, tunnel, frame };
  if (!isAsked(arrived)) return plain(arrived);
  switch (packet.readUInt8(arrived.tunnel.option + 4)) {
    case op.ask:
      return ask(arrived);
    case op.tell:
    case op.none:
      return learn(arrived);
    case op.pin:
      return learnPin(arrived);
    case op.gone:
      return learnGone(arrived);
    case op.echo:
      return echo(arrived);
    default:
      return 'unknown_op';
  }
};

const deliver = (
  { state, packet, tunnel, frame, now }: Arrived,
  to: Endpoint,
  verdict: VerdictWord = 'delivered',
): Omit<Step, 'vni'> & { readonly packet: Buffer } => {
  const bare = decapsulate(packet, tunnel, frame, to.mac);
  const inner = frame.kind === 'packet' ? undone(state, bare, to.ifindex, tunnel.vni, now) : bare;
  return {
    verdict,
    action: 'redirect',
    packet: inner,
    received: { ifindex: to.ifindex, bytes: inner.length },
  };
};

/** Data without a question. */
const plain = (arrived: Arrived): Result => {
  const { frame, state, tunnel } = arrived;
  if (frame.kind !== 'packet') return 'ethertype';
  const local = state.endpoints.get(about(tunnel.vni, frame.destination));
  if (local) return local.ifindex ? deliver(arrived, local) : 'not_here';
  return state.networks.has(tunnel.vni) ? left(arrived) : 'pass';
};

/** Of the endpoint, when it left this host; its time may be over. */
const tombstoneOf = ({ state, tunnel, frame, now }: Arrived): Tombstone | undefined => {
  const tombstone = state.tombstones.get(about(tunnel.vni, frame.destination));
  return tombstone && now < tombstone.until ? tombstone : undefined;
};

/** Data for an endpoint that is not here any more: it follows the endpoint, and its sender's host is told. */
const left = (arrived: Arrived): Result => {
  const { state, config, packet, tunnel, frame, now, ifindex } = arrived;
  const to = tombstoneOf(arrived)?.host ?? zero;
  const due = noticeDue(state, tunnel.source, tunnel.vni, frame.destination, now);
  const told = due ? goneWithData(config, packet, tunnel, frame.destination) : undefined;
  if (to === zero) return told ? { verdict: 'answered_gone', action: 'redirect', packet: told } : 'not_here';
  const emitted = told ? [{ ifindex, packet: told }] : [];
  const ttl = packet.readUInt8(22);
  if (ttl <= passingCost) return { verdict: 'hops', emitted };
  const moved = redirected(config, packet, to, ttl - passingCost);
  return { verdict: 'forwarded_moved', action: 'redirect', packet: moved, emitted };
};

/** A question about an endpoint that is not here. Who owns its slot knows better than a tombstone. */
const askLeft = (arrived: Asked, question: Question): Result => {
  const { state, config, packet, tunnel } = arrived;
  const tombstone = state.mappings.has(about(question.vni, question.ip)) ? undefined : tombstoneOf(arrived);
  if (!tombstone) {
    const result = bounce(arrived, question);
    if (result === 'pinned') return pinFlow(arrived, question);
    // Whoever asked the host that its path leads to hears that there is nothing any more.
    return result === 'not_holder' && question.hops === 0 ? answerGone(arrived) : result;
  }
  if (tombstone.host === zero) return answerGone(arrived);
  if (question.hops >= hopsMax) return 'hops';
  return {
    verdict: 'forwarded_moved',
    action: 'redirect',
    packet: passedOn(config, packet, tunnel.option, question, tombstone.host),
  };
};

const answerGone = ({ state, config, packet, tunnel, frame, now }: Asked): Result => {
  if (!noticeDue(state, tunnel.source, tunnel.vni, frame.destination, now)) return 'not_here';
  return { verdict: 'answered_gone', action: 'redirect', packet: gone(config, packet, tunnel.option, tunnel.source) };
};

/** GONE counts from the path's own host, for what an endpoint here sent. */
const learnGone = ({ state, tunnel, frame }: Asked): Result => {
  if (!state.endpoints.has(about(tunnel.vni, frame.source))) return 'not_here';
  const verdict = forget(state, tunnel.vni, frame.destination, tunnel.source);
  return verdict === 'told_gone' ? { verdict, action: 'drop' } : verdict;
};

/** A sign of life: asked for, or given. */
const echo = ({ state, config, packet, tunnel, frame, now }: Asked): Result => {
  const at = tunnel.option;
  if (packet.readUInt16BE(at + 6) & askFlag.answer) {
    const holds = cookieHolds(config, tunnel.vni, frame.destination, now, packet.readBigUInt64BE(at + 16));
    return holds ? { verdict: 'told_echo', action: 'drop' } : 'forged_cookie';
  }
  // Not before the first full load: whoever asks would take this host for one that knows.
  if (state.attached === 0) return 'not_holder';
  return { verdict: 'answered_echo', action: 'redirect', packet: echoed(config, packet, at, tunnel.source) };
};

const ask = (arrived: Asked): Result => {
  const { state, packet, tunnel, frame, config, now } = arrived;
  const question = questionOf(state, packet, tunnel, tunnel.option, frame.destination);
  if (typeof question === 'string') return question;
  if (frame.kind !== 'packet') return frame.kind === 'request' ? bounce(arrived, question) : 'arp_reply';
  const local = state.endpoints.get(about(tunnel.vni, frame.destination));
  if (!local) return askLeft(arrived, question);
  if (!local.ifindex) return 'not_here';
  if (!noticeDue(state, question.asker, tunnel.vni, question.ip, now)) return deliver(arrived, local);
  const option = optionOf({
    op: op.tell,
    cookie: question.cookie,
    generation: local.generation,
    host: config.self,
    mac: local.mac,
  });
  const delivered = deliver(arrived, local, 'delivered_told');
  if (question.hops === 0) {
    // The asker is the neighbour it came from: a clone goes back as the notice.
    const told = notice(config, packet, tunnel.option, question.asker, option);
    return { ...delivered, emitted: [{ ifindex: arrived.ifindex, packet: told }] };
  }
  if (!arrived.interfaces.has(local.ifindex)) return { ...delivered, verdict: 'kernel', action: 'drop' };
  // Not asked directly: an owner did its part.
  const passedOnOption = Buffer.from(option);
  passedOnOption.writeUInt8(1, 5);
  // Passed on: a clone is delivered, and the packet itself is the notice, wherever the routes say.
  return {
    ...delivered,
    emitted: [{ ifindex: local.ifindex, packet: delivered.packet }],
    packet: encapsulate(
      {
        config,
        macs: delivered.packet.subarray(0, 14),
        to: question.asker,
        vni: tunnel.vni,
        port: noticePort(question.ip),
        tos: 0,
        option: passedOnOption,
      },
      delivered.packet,
    ),
  };
};

/** A bouncer's answer to a packet of a service's flow: which backend it has; or, to what is no flow, that it is a service. */
const pinFlow = ({ state, config, packet, tunnel }: Asked, question: Question): Result => {
  const key = flowAt(packet, tunnel.inner + ETHERNET, tunnel.vni);
  if (key === 'service_fragment' || key === 'malformed') return key;
  const service = state.services.get(about(question.vni, question.ip));
  const answer =
    typeof key === 'string'
      ? serviceAnswer(config, packet, tunnel.option, question.asker, { host: config.self, ...service })
      : pinAnswer(config, packet, tunnel.option, question.asker, pinBody(choose(state, key)));
  return { verdict: 'pinned', action: 'redirect', packet: answer };
};

/** PIN: the flow of a packet that an endpoint here sent gets its backend, and the packet sets out again. */
const learnPin = (arrived: Asked): Result => {
  const { state, config, packet, tunnel, frame, now } = arrived;
  const at = tunnel.option;
  const ip = frame.destination;
  if (!cookieHolds(config, tunnel.vni, ip, now, packet.readBigUInt64BE(at + 16))) return 'forged_cookie';
  const sender = senderOf(arrived);
  if (!sender) return 'not_here';
  isService(state, tunnel.vni, ip, now);
  const backend = { ip: packet.toString('latin1', at + 24, at + 40), port: packet.readUInt16BE(at + 40) };
  if (backend.ip === zero) {
    const told = packet.readUInt16BE(at + 42) === 1;
    return told ? tellSender(arrived, sender, { kind: 'no_backend', untold: 'no_backend' }) : 'no_backend';
  }
  const key = flowAt(packet, tunnel.inner + ETHERNET, tunnel.vni);
  if (typeof key === 'string') return key;
  // A flow that lives keeps its backend: only the path to the service had been forgotten.
  const lives = livingFlow(state, key, tcpFlags(packet, tunnel.inner + ETHERNET).opens, now);
  if (!lives) noteClient(state, sender.ifindex, now);
  if (!lives && !pin(state, key, backend, sender.ifindex, now)) return 'no_backend';
  return again(arrived, sender);
};

/** The packet as its endpoint sent it to its gateway. */
const again = ({ packet, tunnel, frame }: Arrived, sender: Endpoint): Result => ({
  verdict: 'told_service',
  action: 'redirect',
  packet: withMacs(decapsulate(packet, tunnel, frame, gatewayMac), gatewayMac, sender.mac),
});

/** The endpoint here whose packet came back. */
const senderOf = ({ state, tunnel, frame }: Arrived): Endpoint | undefined => {
  const sender = frame.kind === 'packet' ? state.endpoints.get(about(tunnel.vni, frame.source)) : undefined;
  return sender?.ifindex ? sender : undefined;
};

type Found =
  | { readonly verdict: 'answered'; readonly mapping: Mapping; readonly flags: number }
  | { readonly verdict: 'answered_none' }
  | { readonly verdict: 'forwarded'; readonly to: Address; readonly question: Question }
  | VerdictWord;

/**
 * What a bouncer or divider knows: it answers ARP, passes data on to the endpoint's host, and says NONE only when it
 * may. Anything else somebody else may know.
 */
const lookUp = ({ state, config, frame, now }: Arrived, asked: Question): Found => {
  const { vni, ip } = asked;
  const plain = { ...asked, flags: asked.flags & ~askFlag.service };
  const mapping = state.mappings.get(about(vni, ip));
  if (mapping) {
    if (frame.kind === 'request') return { verdict: 'answered', mapping, flags: 0 };
    if (mapping.host === config.self) return 'not_here';
    return asked.hops < hopsMax ? { verdict: 'forwarded', to: mapping.host, question: plain } : 'hops';
  }
  const service = state.services.get(about(vni, ip));
  if (service) {
    if (frame.kind !== 'request') return 'pinned';
    return { verdict: 'answered', mapping: { host: config.self, ...service }, flags: askFlag.service };
  }
  // Who believes in a service that is gone is sent to whoever owns the address's own slot.
  const believed = asked.flags & askFlag.service ? { ...plain, epoch: 0 } : asked;
  // A divider asks on about the subnet of its longest prefix.
  const route = asked.subnet === 0 ? routeOf(state, vni, ip) : undefined;
  const question = route === undefined ? believed : { ...believed, subnet: route, epoch: 0 };
  if (mayDeny(state, vni, question.subnet, ip, now)) return { verdict: 'answered_none' };
  const other = whoElse(state, config, question);
  if (!other || other.to === asked.asker) return 'not_holder';
  return asked.hops < hopsMax ? { verdict: 'forwarded', ...other } : 'hops';
};

/**
 * Who may know, when this host may not say: for a holder the other owner, once; for a host that holds nothing an owner in
 * a table newer than the question's, so that epochs only rise.
 */
const whoElse = (
  state: State,
  config: Config,
  question: Question,
): { readonly to: Address; readonly question: Question } | undefined => {
  const { vni, subnet, ip, flags, epoch } = question;
  const owners = ownersOf(state, vni, subnet, ip);
  if (!owners) return undefined;
  const holds = isHolder(state, vni, subnet, ip);
  if (holds ? flags & askFlag.second : owners.epoch <= epoch) return undefined;
  const order = flags & askFlag.twin ? [owners.secondary, owners.primary] : [owners.primary, owners.secondary];
  const to = order.find((owner) => owner !== zero && owner !== config.self);
  if (to === undefined) return undefined;
  return { to, question: { ...question, epoch: owners.epoch, flags: holds ? flags | askFlag.second : flags } };
};

const bounce = (arrived: Asked, asked: Question): Result => {
  const { config, packet, tunnel } = arrived;
  const found = lookUp(arrived, asked);
  if (typeof found === 'string') return found;
  if (found.verdict === 'forwarded') {
    const passed = passedOn(config, packet, tunnel.option, found.question, found.to);
    return { verdict: 'forwarded', action: 'redirect', packet: passed };
  }
  const told = found.verdict === 'answered' ? { ...found.mapping, flags: found.flags } : undefined;
  return {
    verdict: found.verdict,
    action: 'redirect',
    packet: answer(config, packet, tunnel, arrived.frame, asked.asker, told),
  };
};

/** TELL and NONE. */
const learn = (arrived: Asked): Result => {
  const { state, config, packet, tunnel, frame, now } = arrived;
  const at = tunnel.option;
  const isReply = frame.kind === 'reply';
  const ip = isReply ? frame.source : frame.destination;
  if (!cookieHolds(config, tunnel.vni, ip, now, packet.readBigUInt64BE(at + 16))) return 'forged_cookie';
  if (packet[at + 4] === op.none) return denied(state, tunnel.vni, ip, now) ?? tellUnreachable(arrived);
  const answered: Mapping = {
    host: ip4At(packet, at + 32),
    generation: packet.readBigUInt64BE(at + 24),
    mac: packet.subarray(at + 36, at + 42),
  };
  if (!isUnderlay(state, answered.host)) return 'forged_host';
  const service = (packet.readUInt16BE(at + 6) & askFlag.service) !== 0;
  const refused = told(
    state,
    config,
    tunnel.vni,
    ip,
    answered,
    { checked: isReply, service, byOwner: isReply || service || packet.readUInt8(at + 5) > 0 },
    now,
  );
  if (refused) return refused;
  const sender = service && !isReply ? senderOf(arrived) : undefined;
  if (sender) return again(arrived, sender);
  // The reply that made the path is also the endpoint's answer.
  const local = isReply ? state.endpoints.get(about(tunnel.vni, frame.destination)) : undefined;
  return local?.ifindex ? deliver(arrived, local, 'told_arp') : { verdict: 'told', action: 'drop' };
};

/** The endpoint whose packet came back with NONE hears of it, from its gateway. */
const tellUnreachable = (arrived: Asked): Result => {
  const sender = senderOf(arrived);
  if (!sender) return { verdict: 'told_none', action: 'drop' };
  return tellSender(arrived, sender, { kind: 'unreachable', untold: 'told_none' });
};

const tellSender = (
  { state, packet, tunnel, frame, now }: Asked,
  { ifindex }: Endpoint,
  { kind, untold }: { kind: ErrorKind; untold: VerdictWord },
): Result => {
  const port = state.ports.get(ifindex);
  if (!port) return { verdict: untold, action: 'drop' };
  const inner = decapsulate(packet, tunnel, frame, port.mac);
  return errorTo(state, { port, ifindex, packet: inner, family: frame.family, kind, now, untold });
};

/** XDP in front of the stack: answers ARP that came straight from its asker, drops what is forged, leaves the rest. */
export const bouncer = (run: Run): Step => {
  const { config } = run.state;
  const { packet, state } = run;
  if (!config) return { verdict: 'pass', vni: 0 };
  const tunnel = tunnelOf(packet, config);
  if ('verdict' in tunnel) return tunnel;
  const step = ((): Result => {
    if (!isUnderlay(state, tunnel.source)) return 'forged_source';
    heard(state, tunnel.source, run.now);
    if (tunnel.option === undefined || packet[tunnel.option + 4] !== op.ask) return 'pass';
    const frame = frameOf(packet, tunnel.inner);
    if (typeof frame === 'string') return frame;
    if (frame.kind !== 'request') return 'pass';
    const question = questionOf(state, packet, tunnel, tunnel.option, frame.destination);
    if (typeof question === 'string') return question;
    if (question.hops) return 'pass';
    const arrived = { ...run, config, tunnel: { ...tunnel, option: tunnel.option }, frame };
    const found = lookUp(arrived, question);
    if (typeof found === 'string' || found.verdict === 'forwarded') return 'pass';
    const told = found.verdict === 'answered' ? { ...found.mapping, flags: found.flags } : undefined;
    const reply = answer(config, packet, arrived.tunnel, frame, question.asker, told);
    return { verdict: found.verdict, action: 'tx', packet: reversed(reply) };
  })();
  return typeof step === 'string' ? { verdict: step, vni: tunnel.vni } : { ...step, vni: tunnel.vni };
};
