import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics';

export interface HttpServer {
  readonly address: string;
  close(): Promise<void>;
}

/** /metrics for Prometheus, /healthz (the process answers), /readyz (it can serve: 503 with the reason if not). */
export const serveHttp = async (
  listen: string,
  metrics: Metrics,
  unready: () => string | undefined,
): Promise<HttpServer> => {
  const server = createServer((request, response) => {
    const send = (code: number, body: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(code, { 'content-type': type }).end(body);
    };
    if (request.method !== 'GET') return send(405, 'GET only\n');
    if (request.url === '/healthz') return send(200, 'ok\n');
    if (request.url === '/readyz') {
      const why = unready();
      return why === undefined ? send(200, 'ok\n') : send(503, `${why}\n`);
    }
    if (request.url !== '/metrics') return send(404, '/metrics, /healthz or /readyz\n');
    metrics.registry.metrics().then(
      (text) => send(200, text, metrics.registry.contentType),
      (error: unknown) => send(500, `${String(error)}\n`),
    );
  });
  const colon = listen.lastIndexOf(':');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(listen.slice(colon + 1)), listen.slice(0, colon).replace(/^\[|\]$/g, ''), resolve);
  });
  const { address, port, family } = server.address() as AddressInfo;
  return {
    address: family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
