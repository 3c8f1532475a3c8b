import { encapsulationMax } from '@megrez/abi';
import {
  attachTcx,
  createEndpointInterface,
  createTap,
  deleteLink,
  detach,
  getLink,
  type Link,
  listLinks,
  setLink,
  setSysctl,
} from '@megrez/kernel';
import {
  contains,
  type Endpoint,
  familyOf,
  formatAddress,
  formatMac,
  MegrezError,
  objectName,
  parseMac,
} from '@megrez/model';
import { addressesOf, endpointId, type InterfaceFacts, type OwnEndpoint, type SubnetFacts } from '@megrez/plan';
import type { Datapath } from './datapath';
import { isKernelError } from './failure';
import { aliasOf, interfaceName, isInterfaceName, parseAlias } from './names';
import { isNamespace, type Namespaces } from './namespaces';

/** Where an endpoint's interface belongs. */
type Place =
  | { readonly kind: 'veth'; readonly netns: string; readonly peer: string; readonly managed: boolean }
  | { readonly kind: 'tap'; readonly name: string };

/**
 * Of the host's end of a veth: the kernel drops in silence what is larger than that of the receiving end, and a tenant who
 * sends too much shall be told. What fits is decided by the row in `ports`.
 */
const host_end_mtu = 65_535;

export interface Interfaces {
  /**
   * Makes the endpoint's interface, or finds it as it should be if it may `exist`; `beforeUp` writes the rows that it
   * needs. An endpoint that wants none gets none.
   * @throws MegrezError NETNS_NOT_FOUND, INTERFACE_EXISTS, SUBNET_UNKNOWN; KernelError
   */
  ensure(
    own: OwnEndpoint,
    subnet: SubnetFacts | undefined,
    exists: boolean,
    beforeUp: (facts: InterfaceFacts) => void,
  ): Promise<void>;
  /** Is the interface that serves the endpoint still there? Then it stays as it is, whatever the endpoint's attachment. */
  keep(own: OwnEndpoint, facts: InterfaceFacts): Promise<boolean>;
  /** Takes the interface away, with the link pinned for it and the namespace made for it. Its rows are gone already. */
  remove(facts: InterfaceFacts): Promise<void>;
  /** Interfaces of ours, by endpointId; half-made ones apart. */
  list(): Promise<{ readonly whole: ReadonlyMap<string, InterfaceFacts>; readonly halves: readonly Link[] }>;
}

export const openInterfaces = (
  { object, endpointPin, endpointPinPrefix }: Datapath,
  namespaces: Namespaces,
  mtu: number,
): Interfaces => {
  const gsoMaxSize = 65_536 - encapsulationMax;
  const program = object.program('endpoint');
  /** By ifindex of the host's end: the namespace made for it. */
  const managed = new Map<number, string>();

  const placeOf = (endpoint: Endpoint): Place | undefined => {
    const kind = endpoint.attachment?.kind;
    switch (kind?.oneofKind) {
      case 'none':
        return undefined;
      case 'tap':
        return { kind: 'tap', name: kind.tap.name };
      case 'netns':
        return { kind: 'veth', netns: kind.netns.path, peer: kind.netns.interface || 'eth0', managed: false };
      default:
        return { kind: 'veth', netns: namespaces.pathOf(endpoint), peer: 'eth0', managed: true };
    }
  };

  const factsOf = ({ ifindex, kind }: Link): InterfaceFacts => ({ ifindex, mtu, veth: kind === 'veth' });

  /** The interface that is there already, when it is this endpoint's and where it belongs. */
  const find = async ({ endpoint, ip }: OwnEndpoint, place: Place): Promise<Link | undefined> => {
    const link = await getLink({ name: place.kind === 'tap' ? place.name : interfaceName(endpoint.vni, ip) });
    if (link === undefined || link.alias !== aliasOf(endpoint.vni, ip)) return undefined;
    if (place.kind === 'tap') return link.kind === 'veth' ? undefined : link;
    if (!(await isNamespace(place.netns))) return undefined;
    const peer = await getLink({ name: place.peer, netns: place.netns });
    const mac = formatMac(parseMac(endpoint.mac));
    return peer?.ifindex === link.peerIfindex && peer?.peerIfindex === link.ifindex && peer.mac === mac
      ? link
      : undefined;
  };

  const takeAway = async (link: Pick<Link, 'ifindex'>): Promise<void> => {
    await deleteLink({ ifindex: link.ifindex });
    // Only now: an interface without its program would reach the host's own stack.
    await detach(endpointPin(link.ifindex));
    managed.delete(link.ifindex);
  };

  const makeVeth = async (
    own: OwnEndpoint,
    subnet: SubnetFacts,
    place: Place & { kind: 'veth' },
  ): Promise<InterfaceFacts> => {
    const { endpoint, ip } = own;
    const { vpc, subnet: subnetName, name } = endpoint;
    const object_name = objectName.endpoint(vpc, subnetName, name);
    const reaches = addressesOf(endpoint).map((address) => {
      const prefix = subnet.prefixes.find(({ cidr }) => contains(cidr, address));
      if (prefix !== undefined) return { address, ...prefix };
      const message = `${formatAddress(address)} lies in no prefix of its subnet`;
      throw new MegrezError({ code: 'FAILED_PRECONDITION', reason: 'SUBNET_UNKNOWN', object: object_name, message });
    });
    if (!place.managed && !(await isNamespace(place.netns))) {
      const message = `there is no network namespace ${place.netns} on this host`;
      throw new MegrezError({ code: 'FAILED_PRECONDITION', reason: 'NETNS_NOT_FOUND', object: object_name, message });
    }
    const host_name = interfaceName(endpoint.vni, ip);
    // Made down and with its program, opened when its rows are there.
    const { ifindex } = await createEndpointInterface({
      name: host_name,
      alias: aliasOf(endpoint.vni, ip),
      netns: place.netns,
      peerName: place.peer,
      peerMac: endpoint.mac,
      mtu: host_end_mtu,
      peerMtu: mtu,
      gsoMaxSize,
      // In a namespace of ours nobody speaks IPv6 unasked.
      linkLocal: !place.managed || reaches.some(({ address }) => familyOf(address) === 6),
      addresses: reaches.map(({ address, cidr }) => ({ address: `${formatAddress(address)}/${cidr.length}` })),
      routes: reaches.map(({ gateway }) => ({ dst: 'default', via: formatAddress(gateway) })),
      attach: { program, pinPrefix: endpointPinPrefix },
      up: false,
    });
    return { ifindex, mtu, veth: true };
  };

  const makeTap = async ({ endpoint, ip }: OwnEndpoint, name: string): Promise<InterfaceFacts> => {
    const alias = aliasOf(endpoint.vni, ip);
    const { ifindex } = await createTap({ name, alias, mtu, gsoMaxSize, arp: false, up: false });
    try {
      await setSysctl({ path: `net/ipv6/conf/${name}/disable_ipv6`, value: 1 });
    } catch (error) {
      // A kernel without IPv6 has nothing to disable.
      if (!isKernelError(error, 'ENOENT')) throw error;
    }
    return { ifindex, mtu, veth: false };
  };

  /** What stands in the way: a half-made interface of ours, or one of this address or name that belongs elsewhere. */
  const clear = async ({ endpoint, ip }: OwnEndpoint, place: Place): Promise<void> => {
    const alias = aliasOf(endpoint.vni, ip);
    const ours = (link: Link): boolean =>
      link.alias === alias || (link.alias === undefined && link.name === interfaceName(endpoint.vni, ip));
    // Whoever had the namespace before has lost the name to this one, whether its deletion came or not.
    const before = ({ ifindex }: Link): boolean =>
      place.kind === 'veth' && place.managed && managed.get(ifindex) === place.netns;
    const inTheWay = (await listLinks()).filter((link) => ours(link) || before(link));
    for (const link of inTheWay) await takeAway(link);
    if (inTheWay.length > 0) return;
    const { vpc, subnet, name } = endpoint;
    const message =
      place.kind === 'tap'
        ? `the host has an interface ${place.name} that is no tap of ours`
        : `the namespace ${place.netns} has an interface ${place.peer} already`;
    throw new MegrezError({
      code: 'FAILED_PRECONDITION',
      reason: 'INTERFACE_EXISTS',
      object: objectName.endpoint(vpc, subnet, name),
      message,
    });
  };

  /** The kernel calls a tap that has the name of another kind of interface an invalid argument. */
  const isNoTap = async (error: unknown, place: Place): Promise<boolean> =>
    place.kind === 'tap' && isKernelError(error, 'EINVAL') && (await getLink({ name: place.name })) !== undefined;

  const make = async (own: OwnEndpoint, subnet: SubnetFacts, place: Place): Promise<InterfaceFacts> => {
    const attempt = () => (place.kind === 'tap' ? makeTap(own, place.name) : makeVeth(own, subnet, place));
    try {
      return await attempt();
    } catch (error) {
      if (!isKernelError(error, 'EEXIST') && !(await isNoTap(error, place))) throw error;
    }
    await clear(own, place);
    return attempt();
  };

  return {
    ensure: async (own, subnet, exists, beforeUp) => {
      const { endpoint } = own;
      const place = placeOf(endpoint);
      if (place === undefined) return;
      if (subnet === undefined) {
        const object_name = objectName.endpoint(endpoint.vpc, endpoint.subnet, endpoint.name);
        const message = 'the host was not told of its subnet';
        throw new MegrezError({ code: 'FAILED_PRECONDITION', reason: 'SUBNET_UNKNOWN', object: object_name, message });
      }
      const found = exists ? await find(own, place) : undefined;
      if (found !== undefined) {
        if (place.kind === 'veth' && place.managed) managed.set(found.ifindex, place.netns);
        const wanted_mtu = place.kind === 'veth' ? host_end_mtu : mtu;
        if (found.mtu !== wanted_mtu) await setLink({ ifindex: found.ifindex, mtu: wanted_mtu });
        await attachTcx(program, found.ifindex, { pin: endpointPin(found.ifindex), direction: 'ingress' });
        beforeUp(factsOf(found));
        if (!found.up) await setLink({ ifindex: found.ifindex, up: true });
        return;
      }
      const fresh = place.kind === 'veth' && place.managed && (await namespaces.ensure(place.netns));
      let made: InterfaceFacts | undefined;
      try {
        made = await make(own, subnet, place);
        if (!made.veth) {
          await attachTcx(program, made.ifindex, { pin: endpointPin(made.ifindex), direction: 'ingress' });
        }
        if (place.kind === 'veth' && place.managed) managed.set(made.ifindex, place.netns);
        beforeUp(made);
        await setLink({ ifindex: made.ifindex, up: true });
      } catch (error) {
        // Nothing half-made; what was there before is not ours to undo.
        if (made !== undefined) await takeAway(made);
        if (fresh) await namespaces.remove(place.netns);
        throw error;
      }
    },
    keep: async ({ endpoint, ip }, { ifindex, veth }) => {
      const link = await getLink({ ifindex });
      if (link?.alias !== aliasOf(endpoint.vni, ip)) return false;
      const netns = namespaces.pathOf(endpoint);
      // Made by an earlier agent: the namespace goes with it.
      if (veth && !managed.has(ifindex) && (await isNamespace(netns))) {
        const peer = await getLink({ name: 'eth0', netns });
        if (peer?.peerIfindex === ifindex && peer.ifindex === link.peerIfindex) managed.set(ifindex, netns);
      }
      return true;
    },
    remove: async (facts) => {
      const netns = managed.get(facts.ifindex);
      await takeAway(facts);
      if (netns !== undefined) await namespaces.remove(netns);
    },
    list: async () => {
      const links = await listLinks();
      const whole = new Map<string, InterfaceFacts>();
      const halves: Link[] = [];
      for (const link of links) {
        const of = parseAlias(link.alias);
        if (of !== undefined) whole.set(endpointId(of.vni, of.ip), factsOf(link));
        else if (link.alias === undefined && isInterfaceName(link.name)) halves.push(link);
      }
      return { whole, halves };
    },
  };
};
