import { type Flow, type FlowKey, FlowState, Limit, maps } from '@megrez/abi';
import type { Datapath } from './datapath';

const ns_per_s = 1_000_000_000n;

/** The name under which the other direction of the flow is kept. */
const otherKey = (key: FlowKey, to: Flow): FlowKey => ({
  vni: key.vni,
  source: to.destination,
  destination: to.source,
  source_port: to.destination_port,
  destination_port: to.source_port,
  protocol: key.protocol,
});

/**
 * Forgets the established flows to services that are over, both directions of each, and counts anew what every endpoint
 * has. The datapath adds flows by itself and takes none away: one that is over would keep its room.
 * Returns how many directions went.
 */
export const collectFlows = async (datapath: Datapath): Promise<number> => {
  const flows = datapath.map('flows');
  const ports = datapath.map('ports');
  const { key: keys, value: values } = maps.flows;
  const now = process.hrtime.bigint();
  const isOver = ({ state, seen_at, ifindex }: Flow): boolean => {
    const limit_s = state === FlowState.closing ? Limit.flow_closing_s : Limit.flow_established_s;
    return now - seen_at > BigInt(limit_s) * ns_per_s || ports.lookup(maps.ports.key.encode({ ifindex })) === undefined;
  };

  const found = await flows.entries();
  const over = new Map<string, Buffer>();
  const living = new Map<string, number>();
  for (let i = 0; i < found.count; i++) {
    const bytes = found.keys.subarray(i * keys.size, (i + 1) * keys.size);
    const flow = values.decode(found.values.subarray(i * values.size, (i + 1) * values.size));
    living.set(bytes.toString('hex'), flow.ifindex);
    if (!isOver(flow)) continue;
    const other = keys.encode(otherKey(keys.decode(bytes), flow));
    for (const one of [bytes, other]) over.set(one.toString('hex'), one);
  }
  for (const id of over.keys()) living.delete(id);
  if (over.size > 0) await flows.deleteBatch(Buffer.concat([...over.values()]));

  const counts = new Map<number, number>();
  for (const ifindex of living.values()) counts.set(ifindex, (counts.get(ifindex) ?? 0) + 1);
  const quotas = datapath.map('quotas');
  const known = await quotas.entries();
  for (let i = 0; i < known.count; i++) {
    const key = known.keys.subarray(i * maps.quotas.key.size, (i + 1) * maps.quotas.key.size);
    const value = known.values.subarray(i * maps.quotas.value.size, (i + 1) * maps.quotas.value.size);
    const quota = maps.quotas.value.decode(value);
    const now_has = Math.ceil((counts.get(maps.quotas.key.decode(key).ifindex) ?? 0) / 2);
    if (quota.flows !== now_has) quotas.update(key, maps.quotas.value.encode({ ...quota, flows: now_has }));
  }
  return over.size;
};
