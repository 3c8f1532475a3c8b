// `megrez dev` itself: whole clusters, seen from outside.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, connect } from '@megrez/client';
import { devDown, devExec, devHost, devSignal, devUp, hostCommand } from '@megrez/dev';
import { afterAll, expect, test } from 'vitest';
import { clusters } from './clusters';

const all = clusters();
afterAll(() => all.close());

/** Processes that name the directory in their command line or environment. */
const processesOf = (dir: string) =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir);
      } catch {
        return false;
      }
    });

const isAttached = async ({ provisioning }: Client, name: string) =>
  (await provisioning.getHost({ name }).response).status?.attached ?? false;

async function endpoint({ provisioning }: Client, name: string, host: string): Promise<string> {
  const request = { vpc: 'acme', subnet: 'web', name, host, ip: '', mac: '', requestId: '', timeoutMs: 0 };
  return (await provisioning.createEndpoint(request).response).ip;
}

test('a cluster works, its processes are killed, stopped and started again, and nothing is left', async () => {
  const { dir, server, hosts } = await all.up({ hosts: 2, controllers: 2 });
  const at = { dir };
  expect(hosts.map(({ name }) => name)).toEqual(['h1', 'h2']);
  expect(readFileSync(join(dir, 'server'), 'utf8')).toBe(`${server}\n`);
  await expect(devUp(at)).rejects.toMatchObject({ reason: 'ALREADY_RUNNING' });

  const client = connect(server, { deadline_ms: 20_000 });
  try {
    const { provisioning } = client;
    await provisioning.createVpc({ name: 'acme', cidrs: ['10.0.0.0/16'], dividers: 0, requestId: '' }).response;
    const subnet = {
      vpc: 'acme',
      name: 'web',
      cidrs: ['10.0.1.0/24'],
      bouncers: 1,
      bouncerHosts: ['h2'],
      requestId: '',
    };
    await provisioning.createSubnet(subnet).response;
    await endpoint(client, 'a', 'h1');
    const ip = await endpoint(client, 'b', 'h2');
    const ping = () => devExec('acme/web/a', ['sh', '-c', `ping -q -c 2 -i 0.1 -W 2 ${ip} >/dev/null`], at);
    expect(await ping()).toBe(0);
    expect(await devExec('acme/web/a', ['sh', '-c', 'exit 3'], at)).toBe(3);
    await expect(devExec('acme/web/z', ['true'], at)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(devExec('acme', ['true'], at)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });

    // The holder keeps the namespaces and pins of a killed agent, so its endpoints go on.
    await devSignal('kill', 'h1', at);
    expect(await devHost('h1', ['test', '-e', '/sys/fs/bpf/megrez/paths'], at)).toBe(0);
    expect(await ping()).toBe(0);
    await devSignal('restart', 'h1', at);
    await expect.poll(() => isAttached(client, 'h1'), { timeout: 30_000, interval: 100 }).toBe(true);

    // SIGSTOP is noticed by the lack of pings.
    await devSignal('stop', 'h2', at);
    await expect.poll(() => isAttached(client, 'h2'), { timeout: 30_000, interval: 100 }).toBe(false);
    await devSignal('restart', 'h2', at);
    await expect.poll(() => isAttached(client, 'h2'), { timeout: 30_000, interval: 100 }).toBe(true);
    expect(await ping()).toBe(0);
  } finally {
    client.close();
  }

  // What a person left running inside goes too.
  const [program = '', ...args] = hostCommand('h1', ['sleep', '600'], at);
  const inside = spawn(program, args, { stdio: 'ignore' });
  const ended = once(inside, 'exit');
  await devDown(at);
  expect((await ended)[1]).toBe('SIGKILL');
  expect(existsSync(dir)).toBe(false);
  expect(processesOf(dir)).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
});

test('two clusters start at once, each with a controller of its own', async () => {
  const [one, two] = await Promise.all([all.up({ hosts: 1 }), all.up({ hosts: 1 })]);
  expect(one.server).not.toBe(two.server);
  expect(one.etcd).not.toBe(two.etcd);
  for (const { dir, server } of [one, two]) {
    const client = connect(server, { deadline_ms: 10_000 });
    try {
      expect((await client.provisioning.getStatus({}).response).hosts.map(({ name }) => name)).toEqual(['h1']);
    } finally {
      client.close();
    }
    await devDown({ dir });
    expect(processesOf(dir)).toEqual([]);
  }
});

test.each(['etcd', 'controller-1', 'h1'])('Ctrl-C after %s has been started leaves nothing', async (name) => {
  const dir = all.directory();
  const megrez = join(import.meta.dirname, '../../dist/megrez.mjs');
  const up = spawn(process.execPath, [megrez, 'dev', 'up', '--hosts', '1', '--dir', dir], { stdio: 'ignore' });
  const exit = once(up, 'exit');
  await expect
    .poll(() => existsSync(join(dir, 'processes', `${name}.json`)), { timeout: 20_000, interval: 5 })
    .toBe(true);
  up.kill('SIGINT');
  const [code] = await exit;
  // The agent may be attached before the signal arrives: then the cluster is up, and down must end it.
  if (code === 0) {
    await devDown({ dir });
  }
  expect(existsSync(dir)).toBe(false);
  expect(processesOf(dir)).toEqual([]);
});
