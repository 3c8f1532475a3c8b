// What can be seen without agents: a cluster that fails half-way, and the remains of a dead one. Real etcd, real namespaces.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { devDown, dismantle } from './down';
import { devHost, hostCommand } from './exec';
import { isAlive, signal, withEnvironment } from './identity';
import { type Layout, layout } from './layout';
import { type Cluster, planHosts, type Underlay, underlays } from './plan';
import { clusterVariable, listProcesses, readProcess } from './processes';
import { findProgram } from './program';
import { devSignal } from './signal';
import { startEtcd, startHosts } from './start';
import { bootId, claim } from './state';
import { devUp } from './up';
import { isHealthy, patience } from './wait';

let parent: string;
let paths: Layout;

beforeEach(() => {
  parent = mkdtempSync('/run/megrez-spec-');
  paths = layout(join(parent, 'dev'));
});

afterEach(async () => {
  await devDown({ dir: paths.dir }).catch(() => {});
  rmSync(parent, { recursive: true, force: true });
});

/** Stands for the megrez bundle in clusters that have no controller, or one that is broken. */
function brokenProgram(): string {
  const path = join(parent, 'broken.mjs');
  writeFileSync(path, "console.error('the flag is wrong'); process.exit(3);");
  return path;
}

/** etcd and two hosts, without controllers and agents. */
async function half(underlay: Underlay = 'bridge'): Promise<Cluster> {
  const program = brokenProgram();
  const { etcd, ports, compile_cache } = findProgram(program);
  const cluster: Cluster = {
    version: 1,
    id: `spec-${process.pid}-${Date.now()}`,
    boot_id: bootId(),
    program,
    compile_cache,
    server: '127.0.0.1:1',
    etcd: '',
    hosts: planHosts(2, underlay),
    controllers: [],
    underlay,
    underlay_mtu: 1500,
  };
  claim(paths, cluster);
  const wait = patience(30_000, new AbortController().signal);
  await startHosts(paths, cluster, ports);
  return { ...cluster, etcd: await startEtcd(paths, cluster, etcd, wait) };
}

/** Runs a command in a host and returns what it printed. */
async function inHost(host: string, ...command: string[]): Promise<string> {
  const [name = '', ...args] = hostCommand(host, command, { dir: paths.dir });
  const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  return (await child.stdout.toArray()).join('');
}

test.each(underlays)(
  'hosts reach each other over a %s underlay, with packets as large as its MTU',
  async (underlay) => {
    const { hosts } = await half(underlay);
    for (const [from, to] of [hosts, hosts.toReversed()]) {
      const ping = `ping -c 2 -i 0.1 -W 2 -M do -s 1472 ${to?.address} >/dev/null`;
      expect(await devHost(from?.name ?? '', ['sh', '-c', ping], { dir: paths.dir })).toBe(0);
    }
  },
);

test('between routed hosts there is one hop, and it says so', async () => {
  const { hosts } = await half('routed');
  const answer = await inHost('h1', 'ping', '-n', '-c', '1', '-W', '2', '-t', '1', hosts[1]?.address ?? '');
  expect(answer).toContain(`From ${hosts[0]?.gateway} icmp_seq=1 Time to live exceeded`);
});

test('each host has its own bpffs, sysfs and state', async () => {
  await half();
  expect(await devHost('h1', ['sh', '-c', 'exit 7'], { dir: paths.dir })).toBe(7);
  expect(await devHost('h1', ['sh', '-c', 'kill -TERM $$'], { dir: paths.dir })).toBe(143);
  expect((await inHost('h1', 'ls', '/sys/class/net')).split('\n')).toEqual(expect.arrayContaining(['eth0', 'lo']));
  await inHost('h1', 'mkdir', '/sys/fs/bpf/only-h1', join(paths.hosts, 'h1/only-h1'));
  expect(await inHost('h2', 'ls', '/sys/fs/bpf')).not.toContain('only-h1');
  expect(existsSync('/sys/fs/bpf/only-h1')).toBe(false);
  expect(readdirSync(join(paths.hosts, 'h1'))).toEqual([]);
  await expect(devHost('h3', ['true'], { dir: paths.dir })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test.each(['bridge', 'direct'] as const)(
  'a port of a %s underlay runs XDP while, and only while, its host runs native XDP',
  async (kind) => {
    const { hosts } = await half(kind);
    const { pass } = findProgram().ports;
    const underlay = readProcess(paths, 'underlay');
    const port = () => {
      const link = spawnSync('nsenter', [
        '--net',
        '--target',
        String(underlay?.pid),
        'ip',
        'link',
        'show',
        'dev',
        'h1',
      ]);
      return link.stdout.toString().includes(' xdp ');
    };
    const eth0 = (...xdp: string[]) => devHost('h1', ['ip', 'link', 'set', 'dev', 'eth0', ...xdp], { dir: paths.dir });
    expect(port()).toBe(false);
    for (let round = 0; round < 2; round += 1) {
      expect(await eth0('xdpdrv', 'obj', pass, 'sec', 'xdp.frags')).toBe(0);
      await expect.poll(port).toBe(true);
      // Its frames go through the program, which passes them on.
      expect(
        await devHost('h2', ['sh', '-c', `ping -c 1 -W 2 ${hosts[0]?.address} >/dev/null`], { dir: paths.dir }),
      ).toBe(0);
      expect(await eth0('xdp', 'off')).toBe(0);
      await expect.poll(port).toBe(false);
    }
  },
);

test('down ends what it started and what runs inside, and leaves no file', async () => {
  const cluster = await half();
  // Started by hand, without the mark in its environment.
  const [name = '', ...args] = hostCommand('h1', ['sleep', '600'], { dir: paths.dir });
  const stranger = spawn(name, args, { stdio: 'ignore' });
  const ended = new Promise((resolve) => stranger.on('exit', (_, why) => resolve(why)));
  const processes = listProcesses(paths);
  expect(processes.map((process) => process.name)).toEqual(['etcd', 'holder-h1', 'holder-h2', 'underlay']);
  await expect(devUp({ dir: paths.dir, program: brokenProgram() })).rejects.toMatchObject({
    reason: 'ALREADY_RUNNING',
  });

  await devDown({ dir: paths.dir });
  expect(await ended).toBe('SIGKILL');
  expect(processes.filter(isAlive)).toEqual([]);
  expect(withEnvironment(clusterVariable, cluster.id)).toEqual([]);
  expect(readdirSync(parent)).toEqual(['broken.mjs']);
  await expect(devDown({ dir: paths.dir })).rejects.toMatchObject({ reason: 'NOT_RUNNING' });
});

test('down after half of it died, and never a process that only has the pid of one of ours', async () => {
  const cluster = await half();
  const innocent = spawn('sleep', ['600'], { stdio: 'ignore' });
  try {
    const holder = readProcess(paths, 'holder-h1');
    const etcd = readProcess(paths, 'etcd');
    if (!holder || !etcd) {
      throw new Error('both are recorded');
    }
    signal(holder, 'SIGKILL');
    const reused = { ...etcd, pid: innocent.pid, start_ticks: 1 };
    writeFileSync(join(paths.processes, 'etcd.json'), JSON.stringify(reused));
    await devDown({ dir: paths.dir });
    expect(innocent.exitCode ?? innocent.signalCode).toBeNull();
    // Its record was lost, yet it carries the cluster's mark.
    expect(isAlive(etcd)).toBe(false);
    expect(withEnvironment(clusterVariable, cluster.id)).toEqual([]);
    expect(readdirSync(parent)).toEqual(['broken.mjs']);
  } finally {
    innocent.kill('SIGKILL');
  }
});

test('a process is stopped, killed and started again with its arguments', async () => {
  const cluster = await half();
  const at = { dir: paths.dir };
  const first = readProcess(paths, 'etcd');
  await devSignal('stop', 'etcd', at);
  await devSignal('restart', 'etcd', at);
  const second = readProcess(paths, 'etcd');
  expect(second?.pid).not.toBe(first?.pid);
  expect(second?.command).toEqual(first?.command);
  await expect.poll(() => isHealthy(cluster.etcd), { timeout: 20_000 }).toBe(true);
  await devSignal('kill', 'etcd', at);
  await expect(devSignal('kill', 'etcd', at)).rejects.toMatchObject({ reason: 'NOT_RUNNING' });
  await expect(devSignal('kill', 'holder-h1', at)).rejects.toMatchObject({ reason: 'UNKNOWN_PROCESS' });
  await expect(devSignal('kill', 'h9', at)).rejects.toMatchObject({
    message: 'There is no h9 in this cluster; there are: etcd.',
  });
});

test('up that fails half-way shows the end of the log and leaves nothing', async () => {
  const failing = devUp({ dir: paths.dir, program: brokenProgram(), hosts: 2 });
  await expect(failing).rejects.toMatchObject({
    reason: 'PROCESS_ENDED',
    object: 'controller-1',
    message: expect.stringContaining('the flag is wrong'),
  });
  expect(readdirSync(parent)).toEqual(['broken.mjs']);
});

test('up refuses a directory with other files, and takes over the files of a dead cluster', async () => {
  mkdirSync(paths.dir);
  writeFileSync(join(paths.dir, 'mine'), '');
  await expect(devUp({ dir: paths.dir, program: brokenProgram() })).rejects.toMatchObject({
    reason: 'DIRECTORY_NOT_EMPTY',
  });
  expect(readdirSync(paths.dir)).toEqual(['mine']);
  rmSync(paths.dir, { recursive: true });

  const cluster = await half();
  for (const process of withEnvironment(clusterVariable, cluster.id)) {
    signal(process, 'SIGKILL');
  }
  await expect.poll(() => withEnvironment(clusterVariable, cluster.id)).toEqual([]);
  const lines: string[] = [];
  await expect(
    devUp({ dir: paths.dir, program: brokenProgram(), hosts: 1, onProgress: (line) => lines.push(line) }),
  ).rejects.toMatchObject({ reason: 'PROCESS_ENDED' });
  expect(lines[0]).toBe(`removing what a dead cluster left in ${paths.dir}`);
  expect(existsSync(paths.dir)).toBe(false);
});

test('dismantling twice is dismantling once', async () => {
  const cluster = await half();
  // etcd, three holders, and at least the two processes that follow link events.
  expect(await dismantle(paths, cluster)).toBeGreaterThanOrEqual(6);
  expect(await dismantle(paths, cluster)).toBe(0);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(parent);
});
