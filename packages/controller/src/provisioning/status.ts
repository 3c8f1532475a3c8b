import type { ControllerStatus, GetStatusResponse, Host } from '@megrez/model';
import { prefixes } from '@megrez/store';
import type { Context } from '../context';
import { withStatus } from './host';

/** One screen: is all well, and if not, what to do. */
export const getStatus = async (context: Context): Promise<GetStatusResponse> => {
  const { store, mirror } = context;
  const [{ entries: hosts, revision }, endpoints] = await Promise.all([
    store.range(prefixes.hosts()),
    store.count(prefixes.names()),
  ]);
  const shown = await withStatus(context, hosts);
  return {
    storeId: store.storeId,
    revision,
    controllers: controllers(context),
    hosts: shown,
    vpcs: mirror.vpcs.size,
    subnets: mirror.subnets.size,
    endpoints,
    problems: problems(context, shown),
  };
};

const controllers = ({ mirror }: Context): ControllerStatus[] => {
  const sessions = new Map<string, number>();
  for (const { value } of mirror.sessions.values()) sessions.set(value.relay, (sessions.get(value.relay) ?? 0) + 1);
  return [...mirror.relays.values()].map(({ value: { incarnation, address } }) => ({
    incarnation,
    address,
    sessions: sessions.get(incarnation) ?? 0,
  }));
};

const problems = ({ mirror }: Context, hosts: readonly Host[]): string[] => {
  const out: string[] = [];
  if (hosts.length === 0) out.push('No host is known: start an agent (megrez agent) on each machine.');
  const detached = hosts.filter(({ status }) => status?.attached !== true).map(({ name }) => name);
  for (const host of detached) {
    out.push(`Host ${host} is detached: see that its agent runs and reaches a controller, or delete the host.`);
  }
  for (const [key, table] of mirror.tables) {
    const gone = detached.filter((host) => table.slotsOf.has(host));
    if (gone.length === 0) continue;
    const orphans = table.holders.filter((holders) => holders.every((host) => gone.includes(host))).length;
    const subnet = mirror.subnets.get(key)?.value;
    const vpc = mirror.vpcsByVni.get(table.value.vni)?.value.name ?? '';
    const name = subnet === undefined ? `Dividers of vpc ${vpc}` : `Subnet ${subnet.vpc}/${subnet.name}`;
    const what =
      orphans > 0 ? `${orphans} of 256 slots have no attached owner` : 'slots have lost one of their two owners';
    out.push(`${name}: ${what} (${gone.join(', ')}): bring the agent back.`);
  }
  for (const { name, status } of hosts) {
    for (const problem of status?.report?.problems ?? []) out.push(`Host ${name}: ${problem}`);
  }
  return out;
};
