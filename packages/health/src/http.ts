import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a Prometheus client's registry is to whoever serves it. */
export interface Registry {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export interface HttpServer {
  /** As bound. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * /metrics for Prometheus, /healthz (the process answers), /readyz (it can serve: 503 with the reason if not).
 * `listen`: `host:port`, or `unix:/path`.
 */
export const serveHttp = async (
  listen: string,
  registry: Registry,
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
    registry.metrics().then(
      (text) => send(200, text, registry.contentType),
      (error: unknown) => send(500, `${String(error)}\n`),
    );
  });
  const socket = listen.startsWith('unix:') ? listen.slice('unix:'.length).replace(/^\/\/\//, '/') : undefined;
  const colon = listen.lastIndexOf(':');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (socket === undefined) {
      const host = listen.slice(0, colon).replace(/^\[|\]$/g, '');
      server.listen({ port: Number(listen.slice(colon + 1)), host }, resolve);
    } else {
      // Left by a process that was killed.
      rmSync(socket, { force: true });
      server.listen({ path: socket }, resolve);
    }
  });
  return {
    address: socket === undefined ? boundTo(server.address() as AddressInfo) : listen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

const boundTo = ({ address, port, family }: AddressInfo): string =>
  family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
