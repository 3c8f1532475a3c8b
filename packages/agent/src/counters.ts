import {
  counterIndex,
  decodePerCpu,
  maps,
  type ProgramWord,
  programWords,
  type VerdictWord,
  verdictWord,
  verdictWords,
} from '@megrez/abi';
import type { Datapath } from './datapath';

interface Count {
  readonly packets: number;
  readonly bytes: number;
}

const sum = (values: readonly { readonly packets: bigint; readonly bytes: bigint }[]): Count => {
  let packets = 0n;
  let bytes = 0n;
  for (const value of values) {
    packets += value.packets;
    bytes += value.bytes;
  }
  return { packets: Number(packets), bytes: Number(bytes) };
};

/** Every verdict of every program, also those never given. */
export const readVerdicts = async ({
  map,
}: Datapath): Promise<readonly (Count & { readonly program: ProgramWord; readonly verdict: VerdictWord })[]> => {
  const counters = map('counters');
  const { keys, values, count } = await counters.entries();
  const byIndex = new Map<number, Count>();
  for (let i = 0; i < count; i++) {
    const value = values.subarray(i * counters.valueSize, (i + 1) * counters.valueSize);
    byIndex.set(keys.readUInt32LE(4 * i), sum(decodePerCpu(maps.counters.value, value)));
  }
  return programWords.flatMap((program) =>
    verdictWords.map((verdict) => ({
      program,
      verdict,
      ...(byIndex.get(counterIndex(program, verdict)) ?? { packets: 0, bytes: 0 }),
    })),
  );
};

export const readDrops = async ({
  map,
}: Datapath): Promise<readonly (Count & { readonly vni: number; readonly verdict: string })[]> => {
  const drops = map('drops');
  const { keys, values, count } = await drops.entries();
  return Array.from({ length: count }, (_, i) => {
    const { vni, verdict } = maps.drops.key.decode(keys, i * drops.keySize);
    const value = values.subarray(i * drops.valueSize, (i + 1) * drops.valueSize);
    return { vni, verdict: verdictWord(verdict) ?? String(verdict), ...sum(decodePerCpu(maps.drops.value, value)) };
  });
};

/** By ifindex of the host's end, seen from the endpoint. */
export const readTraffic = async ({
  map,
}: Datapath): Promise<ReadonlyMap<number, { readonly sent: Count; readonly received: Count }>> => {
  const traffic = map('traffic');
  const { keys, values, count } = await traffic.entries();
  const result = new Map<number, { sent: Count; received: Count }>();
  for (let i = 0; i < count; i++) {
    const cpus = decodePerCpu(maps.traffic.value, values.subarray(i * traffic.valueSize, (i + 1) * traffic.valueSize));
    result.set(keys.readUInt32LE(4 * i), {
      sent: sum(cpus.map(({ sent }) => sent)),
      received: sum(cpus.map(({ received }) => received)),
    });
  }
  return result;
};
