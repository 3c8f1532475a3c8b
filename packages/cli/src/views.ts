import type {
  Affinity,
  Attachment,
  BouncerAnswer,
  ControllerStatus,
  Endpoint,
  Host,
  Meta,
  Protocol,
  Refusal,
  Service,
  ServicePort,
  Shard,
  ShardJob,
  SlotState,
  Subnet,
  Vpc,
} from '@megrez/model';
import type { View } from './output';
import { jobKind, jobState, jobSubject } from './progress';
import { formatRanges } from './ranges';

const generation = { header: 'GENERATION', value: ({ meta }: { meta?: Meta }) => meta?.generation, wide: true };
const created = {
  header: 'CREATED',
  value: ({ meta }: { meta?: Meta }) => (meta?.createdAtMs ? new Date(meta.createdAtMs).toISOString() : ''),
  wide: true,
};
const state = {
  header: 'STATE',
  value: ({ meta }: { meta?: Meta }) => (meta?.deleting ? 'deleting' : 'ready'),
  wide: true,
};

export const vpcView: View<Vpc> = {
  none: 'no vpcs',
  columns: [
    { header: 'NAME', value: (vpc) => vpc.name },
    { header: 'CIDRS', value: (vpc) => vpc.cidrs.join(',') },
    { header: 'VNI', value: (vpc) => vpc.vni },
    { header: 'DIVIDERS', value: (vpc) => vpc.dividers },
    state,
    generation,
    created,
  ],
};

export const subnetView: View<Subnet> = {
  none: 'no subnets',
  columns: [
    { header: 'NAME', value: (subnet) => `${subnet.vpc}/${subnet.name}` },
    { header: 'CIDRS', value: (subnet) => subnet.cidrs.join(',') },
    { header: 'GATEWAYS', value: (subnet) => subnet.gateways.join(',') },
    { header: 'BOUNCERS', value: (subnet) => subnet.bouncers },
    { header: 'PINNED TO', value: (subnet) => subnet.bouncerHosts.join(',') },
    { header: 'VNI', value: (subnet) => subnet.vni, wide: true },
    { header: 'NUMBER', value: (subnet) => subnet.number, wide: true },
    state,
    generation,
    created,
  ],
};

const attachmentText = (attachment: Attachment | undefined): string => {
  const kind = attachment?.kind;
  switch (kind?.oneofKind) {
    case 'netns':
      return `netns ${kind.netns.path}`;
    case 'tap':
      return `tap ${kind.tap.name}`;
    case 'none':
      return 'no interface';
    default:
      return 'managed';
  }
};

export const endpointView: View<Endpoint> = {
  none: 'no endpoints',
  columns: [
    { header: 'NAME', value: (endpoint) => `${endpoint.vpc}/${endpoint.subnet}/${endpoint.name}` },
    { header: 'IP', value: (endpoint) => [endpoint.ip, endpoint.ip6].filter((ip) => ip !== '').join(',') },
    { header: 'MAC', value: (endpoint) => endpoint.mac },
    {
      header: 'HOST',
      value: ({ host, movingTo }) => (movingTo === '' ? host : `${host} -> ${movingTo}`),
    },
    { header: 'ATTACHMENT', value: (endpoint) => attachmentText(endpoint.attachment), wide: true },
    { header: 'HOST ADDRESS', value: (endpoint) => endpoint.hostAddress, wide: true },
    { header: 'VNI', value: (endpoint) => endpoint.vni, wide: true },
    { header: 'SLOT', value: (endpoint) => endpoint.slot, wide: true },
    generation,
    created,
  ],
};

/** As numbers: the model is loaded by commands, when they run. */
const protocols: Readonly<Record<Protocol, string>> = ['tcp', 'tcp', 'udp'];
const affinities: Readonly<Record<Affinity, string>> = ['none', 'none', 'client-ip'];

const refusals: Readonly<Record<Refusal, string>> = ['tell', 'tell', 'drop'];

const portText = ({ listen, target, protocol }: ServicePort): string =>
  `${listen}${target === 0 || target === listen ? '' : `:${target}`}/${protocols[protocol]}`;

const usualWeight = 100;

export const serviceView: View<Service> = {
  none: 'no services',
  columns: [
    { header: 'NAME', value: (service) => `${service.vpc}/${service.subnet}/${service.name}` },
    { header: 'IP', value: (service) => service.ip },
    { header: 'PORTS', value: (service) => service.ports.map(portText).join(',') },
    {
      header: 'BACKENDS',
      value: ({ backends }) =>
        backends
          .map(({ subnet, endpoint, weight, down }) => {
            const share = weight === 0 || weight === usualWeight ? '' : `=${weight}`;
            return `${subnet}/${endpoint}${share}${down ? ' (down)' : ''}`;
          })
          .join(','),
    },
    {
      header: 'AFFINITY',
      value: ({ affinity, affinityTimeoutMs }) =>
        `${affinities[affinity]}${affinityTimeoutMs === 0 ? '' : ` ${affinityTimeoutMs} ms`}`,
      wide: true,
    },
    { header: 'REFUSAL', value: ({ refusal }) => refusals[refusal], wide: true },
    { header: 'DRAIN', value: ({ drainMs }) => (drainMs === 0 ? '' : `${drainMs} ms`), wide: true },
    state,
    generation,
    created,
  ],
};

const weightText = (host: Host): number => host.weight || usualWeight;

export const hostView: View<Host> = {
  none: 'no hosts: start an agent on each (megrez agent), or try a cluster on this machine (megrez dev up)',
  columns: [
    { header: 'NAME', value: (host) => host.name },
    { header: 'ADDRESS', value: (host) => host.address },
    { header: 'STATE', value: (host) => (host.status?.attached ? 'attached' : 'detached') },
    { header: 'ZONE', value: (host) => host.zone },
    { header: 'SLOTS', value: (host) => (host.ineligible ? 'never' : 'may own') },
    { header: 'ENDPOINTS', value: (host) => host.status?.endpoints ?? 0 },
    { header: 'WEIGHT', value: weightText, wide: true },
    {
      header: 'LAST PING',
      value: (host) => (host.status?.attached ? `${host.status.lastPingMs} ms ago` : ''),
      wide: true,
    },
    { header: 'NIC', value: (host) => host.status?.report?.nic, wide: true },
    { header: 'HOOK', value: (host) => host.status?.report?.nicHook, wide: true },
    { header: 'MTU', value: (host) => host.status?.report?.endpointMtu, wide: true },
    { header: 'MAPPINGS', value: (host) => host.status?.report?.mappings, wide: true },
    { header: 'VERSION', value: (host) => host.status?.report?.version, wide: true },
    { header: 'KERNEL', value: (host) => host.status?.report?.kernel, wide: true },
    { header: 'RELAY', value: (host) => host.status?.relay, wide: true },
    generation,
  ],
};

export const controllerView: View<ControllerStatus> = {
  none: 'no controllers',
  columns: [
    { header: 'ADDRESS', value: (controller) => controller.address },
    { header: 'SESSIONS', value: (controller) => controller.sessions },
    { header: 'INCARNATION', value: (controller) => controller.incarnation },
  ],
};

export const answerView: View<BouncerAnswer> = {
  none: 'no bouncer was asked',
  columns: [
    { header: 'BOUNCER', value: (answer) => answer.host },
    { header: 'ANSWER', value: (answer) => (answer.error !== '' ? 'not asked' : answer.found ? 'found' : 'unknown') },
    { header: 'HOST ADDRESS', value: (answer) => answer.endpointHostAddress },
    { header: 'MAC', value: (answer) => answer.mac },
    { header: 'GENERATION', value: (answer) => (answer.found ? answer.generation : undefined) },
    { header: 'ERROR', value: (answer) => answer.error },
  ],
};

const slotStates: Readonly<Record<SlotState, string>> = ['forwarding', 'loading', 'serving', 'leaving'];

export const shardView: View<Shard> = {
  none: 'no shards',
  columns: [
    { header: 'VPC', value: (shard) => shard.vpc },
    { header: 'SUBNET', value: (shard) => shard.subnet || '(dividers)' },
    { header: 'HOST', value: (shard) => shard.host },
    {
      header: 'STATE',
      value: ({ state, attached }) => `${slotStates[state] ?? state}${attached ? '' : ', detached'}`,
    },
    { header: 'PRIMARY', value: (shard) => shard.primarySlots },
    { header: 'SECONDARY', value: (shard) => shard.secondarySlots },
    { header: 'ENTRIES', value: (shard) => shard.entries },
    { header: 'LOOKUPS/S', value: (shard) => shard.lookupsPerSecond },
    { header: 'EPOCH', value: (shard) => shard.epoch },
    { header: 'LOADING', value: (shard) => shard.loadingSlots, wide: true },
    { header: 'LEAVING', value: (shard) => shard.leavingSlots, wide: true },
    { header: 'JOB', value: ({ job }) => job || undefined, wide: true },
    { header: 'SLOTS', value: (shard) => formatRanges(shard.slots), wide: true },
  ],
};

const time = (ms: number): string => (ms === 0 ? '' : new Date(ms).toISOString());

export const jobView: View<ShardJob> = {
  none: 'no jobs',
  columns: [
    { header: 'JOB', value: (job) => job.id },
    { header: 'KIND', value: jobKind },
    { header: 'OF', value: jobSubject },
    { header: 'STATE', value: jobState },
    { header: 'SLOTS', value: (job) => job.total },
    { header: 'TABLES', value: (job) => job.tables },
    { header: 'MESSAGE', value: (job) => job.message },
    { header: 'CREATED', value: (job) => time(job.createdAtMs), wide: true },
    { header: 'FINISHED', value: (job) => time(job.finishedAtMs), wide: true },
  ],
};
