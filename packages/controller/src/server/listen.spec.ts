import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { listenAll } from './listen';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'megrez-listen-'));
  path = join(directory, 'controller.sock');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('takes the socket of a process that was killed', async () => {
  const script = "require('node:net').createServer().listen(process.argv[1], () => console.log('ready'))";
  const killed = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(existsSync(path)).toBe(true);
  const server = new Server();
  expect(await listenAll(server, [`unix:${path}`])).toEqual([`unix:${path}`]);
  server.forceShutdown();
});

it('leaves the socket of a living one', async () => {
  const living = new Server();
  await listenAll(living, [`unix:${path}`]);
  const late = new Server();
  await expect(listenAll(late, [`unix:${path}`])).rejects.toThrow('EADDRINUSE');
  expect(existsSync(path)).toBe(true);
  living.forceShutdown();
  late.forceShutdown();
});
