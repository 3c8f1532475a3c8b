import { fileURLToPath } from 'node:url';
import { FlowState, Limit, maps } from '@megrez/abi';
import { type BpfObject, loadObject } from '@megrez/kernel';
import { parseAddress } from '@megrez/model';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { collectFlows } from './flows';

const objectPath = fileURLToPath(new URL('../../../dist/bpf/megrez.bpf.o', import.meta.url));
let object: BpfObject;
beforeAll(async () => {
  const small = { maxEntries: 64 };
  object = await loadObject(objectPath, { maps: { paths: small, notices: small, young_flows: small } });
});
afterAll(() => object.close());
beforeEach(async () => {
  for (const name of ['flows', 'ports', 'quotas'] as const) {
    const { keys } = await object.map(name).entries();
    if (keys.length > 0) await object.map(name).deleteBatch(keys);
  }
  object.map('ports').update(maps.ports.key.encode({ ifindex: 3 }), Buffer.alloc(maps.ports.value.size));
});

const client = parseAddress('10.0.1.7');
const service = parseAddress('10.0.1.9');
const backend = parseAddress('10.0.1.8');
const there = (port: number) => ({ source: client, destination: service, source_port: port, destination_port: 80 });
const back = (port: number) => ({ source: backend, destination: client, source_port: 8080, destination_port: port });

/** Both directions of a flow, as the datapath writes them. */
const flow = (
  port: number,
  fields: { ago_s: number; state?: FlowState; backAgo_s?: number; ifindex?: number },
): void => {
  const rest = { state: fields.state ?? FlowState.established, ifindex: fields.ifindex ?? 3, pinned_at: 1n };
  const seen_at = (ago_s: number): bigint => process.hrtime.bigint() - BigInt(ago_s) * 1_000_000_000n;
  const put = (name: ReturnType<typeof there>, to: ReturnType<typeof there>, ago_s: number): void =>
    object
      .map('flows')
      .update(
        maps.flows.key.encode({ ...name, vni: 7, protocol: 6 }),
        maps.flows.value.encode({ ...to, ...rest, seen_at: seen_at(ago_s) }),
      );
  put(
    there(port),
    { ...back(port), source: client, destination: backend, source_port: port, destination_port: 8080 },
    fields.ago_s,
  );
  put(
    back(port),
    { ...there(port), source: service, destination: client, source_port: 80, destination_port: port },
    fields.backAgo_s ?? fields.ago_s,
  );
};
const ports = async (): Promise<readonly number[]> => {
  const { keys, count } = await object.map('flows').entries();
  const size = maps.flows.key.size;
  const all = Array.from({ length: count }, (_, i) => maps.flows.key.decode(keys.subarray(i * size, (i + 1) * size)));
  return all.map((key) => (key.destination_port === 80 ? key.source_port : key.destination_port)).sort();
};
const collect = () => collectFlows({ map: (name: string) => object.map(name) } as Parameters<typeof collectFlows>[0]);

test('flows that are over go, in both directions, and the others are counted', async () => {
  const { flow_closing_s: closing_s, flow_established_s: established_s } = Limit;
  object
    .map('quotas')
    .update(maps.quotas.key.encode({ ifindex: 3 }), maps.quotas.value.encode({ pinned_at: 5n, flows: 9 }));
  flow(1, { ago_s: 1 });
  flow(2, { ago_s: closing_s + 5, state: FlowState.closing });
  flow(3, { ago_s: 5, state: FlowState.closing });
  flow(4, { ago_s: closing_s + 5, state: FlowState.closing, backAgo_s: 1 });
  flow(5, { ago_s: 1, ifindex: 99 });
  // Younger than the machine: nothing can have been idle for longer than that.
  const aged = Number(process.hrtime.bigint() / 1_000_000_000n) > established_s + 10;
  if (aged) flow(6, { ago_s: established_s + 5 });
  expect(await collect()).toBe(aged ? 8 : 6);
  expect(await ports()).toEqual([1, 1, 3, 3]);
  const quota = object.map('quotas').lookup(maps.quotas.key.encode({ ifindex: 3 }));
  expect(quota && maps.quotas.value.decode(quota)).toMatchObject({ pinned_at: 5n, flows: 2 });
  expect(await collect()).toBe(0);
});
