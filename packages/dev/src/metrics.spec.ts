import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseMetrics, readMetrics } from './metrics';

test('samples with and without labels, escapes in labels, comments skipped', () => {
  const text = [
    '# HELP up whether it is',
    'up 1',
    'packets_total{program="bouncer",verdict="answered"} 2 1700000000000',
    'odd{text="a \\"b\\", c=d"} 1.5e3',
    '',
  ].join('\n');
  expect(parseMetrics(text)).toEqual([
    { name: 'up', labels: {}, value: 1 },
    { name: 'packets_total', labels: { program: 'bouncer', verdict: 'answered' }, value: 2 },
    { name: 'odd', labels: { text: 'a \\"b\\", c=d' }, value: 1500 },
  ]);
});

test.each(['a unix socket', 'a port'])('read from %s; what is no 200 is an error', async (kind) => {
  const dir = mkdtempSync(join(tmpdir(), 'megrez-metrics-'));
  const socket = join(dir, 'metrics');
  const server = createServer(({ url }, response) => response.end(url === '/metrics' ? 'up 1\n' : ''));
  try {
    await new Promise<void>((resolve) => {
      if (kind === 'a port') server.listen(0, '127.0.0.1', resolve);
      else server.listen(socket, resolve);
    });
    const address = kind === 'a port' ? `127.0.0.1:${(server.address() as AddressInfo).port}` : socket;
    expect(await readMetrics(address)).toEqual([{ name: 'up', labels: {}, value: 1 }]);
    server.removeAllListeners('request').on('request', (_, response) => response.writeHead(503).end('later'));
    await expect(readMetrics(address)).rejects.toThrow('answered 503: later');
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});
