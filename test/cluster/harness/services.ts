// Servers that say who they are, and clients that count whom they met (tools/serve.c).
import {
  CreateServiceRequest,
  type Endpoint,
  Protocol,
  type Service,
  ServiceBackend,
  UpdateServiceRequest,
} from '@megrez/model';
import { serveTool, type TestCluster } from './cluster';
import type { Running } from './command';

export type ProtocolWord = 'tcp' | 'udp';

/** What became of one round of questions. */
export interface Answers {
  /** By `vpc/subnet/name` of who answered. */
  readonly by: Readonly<Record<string, number>>;
  readonly refused: number;
  readonly unreachable: number;
  readonly reset: number;
  readonly silent: number;
  /** Answered by another than in the round before. */
  readonly changed: number;
  /** Of TCP segments, SYNs too. */
  readonly retransmits: number;
  readonly slowest_ms: number;
}

/** Nothing went wrong. */
export const clean = { refused: 0, unreachable: 0, reset: 0, silent: 0, changed: 0, retransmits: 0 } as const;

export const nameOf = ({ vpc, subnet, name }: Endpoint): string => `${vpc}/${subnet}/${name}`;

/** `80:8080/tcp` as on the command line. */
const portOf = (text: string) => {
  const [, listen, target, protocol] = /^(\d+):(\d+)\/(tcp|udp)$/.exec(text) ?? [];
  if (protocol === undefined) {
    throw new Error(`${text} is no port`);
  }
  return {
    listen: Number(listen),
    target: Number(target),
    protocol: protocol === 'udp' ? Protocol.UDP : Protocol.TCP,
  };
};

const backendsOf = (endpoints: readonly Endpoint[]): ServiceBackend[] =>
  endpoints.map(({ subnet, name }) => ServiceBackend.create({ subnet, endpoint: name }));

export function createService(
  cluster: TestCluster,
  path: string,
  ports: readonly string[],
  backends: readonly Endpoint[],
  more: Partial<CreateServiceRequest> = {},
): Promise<Service> {
  const [vpc = '', subnet = '', name = ''] = path.split('/');
  const request = { vpc, subnet, name, ports: ports.map(portOf), backends: backendsOf(backends), ...more };
  return Promise.resolve(cluster.api.createService(CreateServiceRequest.create(request)).response);
}

/** Other backends, everything else as it is. */
export async function setBackends(
  cluster: TestCluster,
  { vpc, subnet, name, ports }: Service,
  backends: readonly Endpoint[],
): Promise<Service> {
  const request = UpdateServiceRequest.create({ vpc, subnet, name, ports, backends: backendsOf(backends) });
  return cluster.api.updateService(request).response;
}

/** A server that answers with the endpoint's name; resolves when it listens. */
export async function serve(
  cluster: TestCluster,
  endpoint: Endpoint,
  protocol: ProtocolWord,
  port: number,
): Promise<Running> {
  const command = [serveTool(), 'serve', protocol, String(port), nameOf(endpoint)];
  const running = await cluster.start({ endpoint }, command);
  await running.said('ready');
  return running;
}

export interface AskOptions {
  /** Connections at once; without it 1. */
  readonly count?: number;
  /** Without it 5,000. */
  readonly patience_ms?: number;
  /** The first connection's own port. */
  readonly source?: number;
}

/** Connections that stay open between the rounds. */
export interface Asking {
  /** Asks once more, on the same connections. */
  again(): Promise<Answers>;
  /** Ends them by RST. */
  end(): Promise<void>;
}

const lastLine = (running: Running): string => running.output().trim().split('\n').at(-1) ?? '';

async function round(running: Running, number: number): Promise<Answers> {
  while (running.output().split('\n').length - 1 < number) {
    await running.heard();
  }
  return JSON.parse(lastLine(running)) as Answers;
}

/** Opens connections and asks each once. */
export async function connections(
  cluster: TestCluster,
  from: Endpoint,
  protocol: ProtocolWord,
  { ip }: { readonly ip: string },
  port: number,
  { count = 1, patience_ms = 5000, source }: AskOptions = {},
): Promise<{ readonly first: Answers; readonly asking: Asking }> {
  const numbers = [port, count, patience_ms, ...(source === undefined ? [] : [source])].map(String);
  const running = await cluster.start({ endpoint: from }, [serveTool(), 'ask', protocol, ip, ...numbers]);
  const first = await round(running, 1);
  let rounds = 1;
  return {
    first,
    asking: {
      again: () => {
        rounds += 1;
        running.write('again\n');
        return round(running, rounds);
      },
      end: async () => void (await running.finish()),
    },
  };
}

/** Asks once, and closes. */
export async function ask(...request: Parameters<typeof connections>): Promise<Answers> {
  const { first, asking } = await connections(...request);
  await asking.end();
  return first;
}
