import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startEtcd } from './etcd';
import { until } from './fixtures';

const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

test('keeps its data over a restart on the same endpoint, and close leaves nothing', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'megrez-etcd-spec-'));
  const etcd = await startEtcd({ dir });
  const { endpoint, pid } = etcd;
  const call = (path: string, body: object) =>
    fetch(`${etcd.endpoint}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) }).then((answer) =>
      answer.json(),
    );
  await call('put', { key: btoa('k'), value: btoa('v') });
  await etcd.restart();
  expect(etcd.endpoint).toBe(endpoint);
  expect(etcd.pid).not.toBe(pid);
  expect(await call('range', { key: btoa('k') })).toMatchObject({ kvs: [{ value: btoa('v') }] });
  etcd.stop();
  await etcd.close();
  expect(alive(etcd.pid)).toBe(false);
  rmSync(dir, { recursive: true });
});

test('dies with the process that started it, however that dies', async () => {
  const script = `import(${JSON.stringify(join(import.meta.dirname, 'etcd.ts'))})
    .then(({ startEtcd }) => startEtcd({ dir: process.argv[1] }))
    .then(({ pid }) => console.log(pid))`;
  const dir = mkdtempSync(join(tmpdir(), 'megrez-etcd-spec-'));
  const parent = spawn(process.execPath, ['-e', script, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>((resolve) => void parent.stdout.once('data', (text) => resolve(Number(text))));
  expect(alive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !alive(pid));
  rmSync(dir, { recursive: true });
});
