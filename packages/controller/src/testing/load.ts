/** Creation time and rate against a controller and etcd, agents being protocol peers: `node load.ts [creations]`. */
import { startAcme, startCluster } from './cluster';

const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0;

export const measure = async (total: number): Promise<void> => {
  const cluster = await startCluster({ hosts: 3 });
  try {
    await startAcme(cluster, { cidr: '10.0.0.0/17' });
    const create = async (name: string, host: number): Promise<number> => {
      const started = performance.now();
      await cluster.api.call('createEndpoint', {
        vpc: 'acme',
        subnet: 'web',
        name,
        host: `h${host}`,
        attachment: { kind: { oneofKind: 'none', none: {} } },
      });
      return performance.now() - started;
    };
    const one: number[] = [];
    for (let n = 0; n < 600; n += 1) {
      const took = await create(`one-${n}`, 1 + (n % 3));
      if (n >= 100) one.push(took);
    }
    console.log(`1 caller: p50 ${quantile(one, 0.5).toFixed(2)} ms, p99 ${quantile(one, 0.99).toFixed(2)} ms`);
    let next = 0;
    const many: number[] = [];
    const started = performance.now();
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        for (let n = next++; n < total; n = next++) many.push(await create(`many-${n}`, 1 + (n % 3)));
      }),
    );
    const seconds = (performance.now() - started) / 1_000;
    console.log(
      `64 callers: ${Math.round(total / seconds)}/s, p50 ${quantile(many, 0.5).toFixed(1)} ms, p99 ${quantile(many, 0.99).toFixed(1)} ms`,
    );
  } finally {
    await cluster.close();
  }
};

await measure(Number(process.argv[2] ?? 4_000));
