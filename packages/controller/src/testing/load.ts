/**
 * Creation time and rate: one controller process and one etcd; callers and three protocol peers in this process.
 * The argument is the number of creations with 64 callers.
 */
import { connectApi } from './api';
import { startAcme, startCluster } from './cluster';
import { spawnController } from './process';

const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0;

export const measure = async (total: number): Promise<void> => {
  const cluster = await startCluster({ hosts: 0, controllers: 0 });
  const controller = await spawnController({
    listen: ['127.0.0.1:0'],
    etcd: [cluster.etcd.endpoint],
    underlayPrefixes: ['192.168.0.0/16'],
    log: 'warn',
  });
  try {
    for (let n = 1; n <= 3; n += 1) await cluster.peer(n, { server: controller.address });
    const api = connectApi(controller.address);
    await startAcme(api, { cidr: '10.0.0.0/17' });
    const create = async (name: string, host: number): Promise<number> => {
      const started = performance.now();
      await api.call('createEndpoint', {
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
    api.close();
  } finally {
    await controller.kill();
    await cluster.close();
  }
};

await measure(Number(process.argv[2] ?? 4_000));
