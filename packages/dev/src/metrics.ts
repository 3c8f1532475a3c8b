import { type IncomingMessage, request } from 'node:http';

/** One line of the Prometheus text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a text in the Prometheus format; comments and blank lines are skipped. */
export function parseMetrics(text: string): readonly Sample[] {
  return text.split('\n').flatMap((row) => {
    const [, name, labels = '', value] = row.match(line) ?? [];
    if (name === undefined || value === undefined) {
      return [];
    }
    const pairs = [...labels.matchAll(label)].map(([, key = '', text = '']) => [key, text] as const);
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
  });
}

/** GET /metrics of a unix socket (a path) or of `host:port`. */
export async function readMetrics(address: string): Promise<readonly Sample[]> {
  const [host = '', port = ''] = address.split(':');
  const where = address.startsWith('/') ? { socketPath: address } : { host, port };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request({ ...where, path: '/metrics', agent: false, timeout: 10_000 }, resolve);
    asked.on('timeout', () => asked.destroy(new Error(`GET /metrics of ${address} did not answer`)));
    asked.on('error', reject);
    asked.end();
  });
  const text = Buffer.concat(await response.toArray()).toString();
  if (response.statusCode !== 200) {
    throw new Error(`GET /metrics of ${address} answered ${response.statusCode}: ${text}`);
  }
  return parseMetrics(text);
}
