import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { serveHttp } from './http';

const registry = { contentType: 'text/plain; version=0.0.4', metrics: async () => 'megrez_up 1\n' };

test('metrics, health and readiness over TCP', async () => {
  let why: string | undefined = 'the store is not read yet';
  const server = await serveHttp('127.0.0.1:0', registry, () => why);
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://${server.address}${path}`, { method });
    return `${response.status} ${await response.text()}`;
  };
  try {
    expect(await get('/metrics')).toBe('200 megrez_up 1\n');
    expect(await get('/healthz')).toBe('200 ok\n');
    expect(await get('/readyz')).toBe('503 the store is not read yet\n');
    why = undefined;
    expect(await get('/readyz')).toBe('200 ok\n');
    expect(await get('/')).toMatch(/^404 /);
    expect(await get('/healthz', 'POST')).toBe('405 GET only\n');
  } finally {
    await server.close();
  }
});

test('a registry that fails is an answer too, and a socket left behind is in nobody’s way', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'megrez-health-'));
  const socketPath = join(directory, 'metrics');
  writeFileSync(socketPath, '');
  const failing = { ...registry, metrics: () => Promise.reject(new Error('no counters')) };
  const server = await serveHttp(`unix:${socketPath}`, failing, () => undefined);
  try {
    expect(server.address).toBe(`unix:${socketPath}`);
    const status = await new Promise((resolve, reject) => {
      request({ socketPath, path: '/metrics' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(500);
  } finally {
    await server.close();
    rmSync(directory, { recursive: true });
  }
});
