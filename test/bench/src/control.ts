/** A cluster whose control plane is measured: endpoints on h1, both bouncers of the subnet elsewhere. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Client, connect } from '@megrez/client';
import { agentSocket, devDown, devUp, layout } from '@megrez/dev';
import type { Attachment, CreateEndpointRequest, Endpoint } from '@megrez/model';

export interface Control {
  readonly dir: string;
  readonly client: Client;
  /** Where /metrics of the controller and of the three agents are. */
  readonly controller: string;
  readonly agents: readonly string[];
  readonly up_ms: number;
  close(): Promise<void>;
}

export const vpc = 'acme';
export const subnet = 'web';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

export async function startControl(dir: string, hosts = 3): Promise<Control> {
  const controller = `127.0.0.1:${await freePort()}`;
  const started = performance.now();
  const cluster = await devUp({ dir, hosts, controllerArguments: ['--metrics', controller] });
  const up_ms = performance.now() - started;
  const client = connect(cluster.server, { deadline_ms: 120_000 });
  const close = async () => {
    client.close();
    await devDown({ dir });
  };
  try {
    const api = client.provisioning;
    await api.createVpc({ name: vpc, cidrs: ['10.0.0.0/8'], dividers: 0, requestId: '' }).response;
    const owners = { bouncers: 2, bouncerHosts: ['h2', 'h3'] };
    await api.createSubnet({ vpc, name: subnet, cidrs: ['10.0.0.0/14'], ...owners, requestId: '' }).response;
    const agents = cluster.hosts.map(({ name }) => agentSocket(layout(dir), name));
    return { dir, client, controller, agents, up_ms, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export const managed: Attachment = { kind: { oneofKind: 'managed', managed: {} } };
export const none: Attachment = { kind: { oneofKind: 'none', none: {} } };

export const requestFor = (name: string, host: string, attachment: Attachment): CreateEndpointRequest => ({
  ...{ vpc, subnet, name, host, attachment },
  ...{ ip: '', mac: '', requestId: '', timeoutMs: 0 },
});

export async function create({ client }: Control, name: string, host: string, attachment: Attachment) {
  return (await client.provisioning.createEndpoint(requestFor(name, host, attachment)).response) satisfies Endpoint;
}

export async function remove({ client }: Control, name: string): Promise<void> {
  await client.provisioning.deleteEndpoint({ vpc, subnet, name, timeoutMs: 0 }).response;
}

/** Calls `work` for 0 … `count` - 1, `callers` at a time. */
export async function parallel(
  count: number,
  callers: number,
  signal: AbortSignal,
  work: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const caller = async () => {
    for (let i = next++; i < count; i = next++) {
      signal.throwIfAborted();
      await work(i);
    }
  };
  // Nothing may still be calling while the cluster is taken down.
  const callings = Array.from({ length: callers }, caller);
  await Promise.allSettled(callings);
  await Promise.all(callings);
}

/** The agent process of a host. */
export function agentPid(dir: string, host: string): number {
  return (JSON.parse(readFileSync(join(dir, 'processes', `${host}.json`), 'utf8')) as { readonly pid: number }).pid;
}
