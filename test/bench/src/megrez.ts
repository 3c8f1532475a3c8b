import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@megrez/client';
import { devDown, devUp, execCommand, hostCommand } from '@megrez/dev';
import type { BenchUnderlay } from './options';
import { run } from './process';
import type { Endpoint, Side } from './side';

/** As in the demo: endpoints on h1 and h2, the subnet's bouncer on h3. */
export async function startMegrez(dir: string, kind: BenchUnderlay, signal: AbortSignal): Promise<Side> {
  const cluster = await devUp({ dir, hosts: 3, underlay: kind });
  const client = connect(cluster.server, { deadline_ms: 30_000 });
  try {
    const api = client.provisioning;
    await api.createVpc({ name: 'acme', cidrs: ['10.0.0.0/16'], dividers: 0, requestId: '' }).response;
    const subnet = { vpc: 'acme', name: 'web', cidrs: ['10.0.1.0/24'], bouncers: 1, bouncerHosts: ['h3'] };
    await api.createSubnet({ ...subnet, requestId: '' }).response;
    const create = async (name: string, host: string): Promise<Endpoint> => {
      const { ip } = await api.createEndpoint({
        ...{ vpc: 'acme', subnet: 'web', name, host, ip: '', mac: '', requestId: '', timeoutMs: 0 },
        attachment: { kind: { oneofKind: 'managed', managed: {} } },
      }).response;
      return { address: ip, place: await execCommand(`acme/web/${name}`, [], { dir }) };
    };
    const endpoints = [await create('a', 'h1'), await create('b', 'h2')] as const;
    return {
      ...{ name: 'megrez', kind, link: 'veth' },
      endpoints,
      hosts: cluster.hosts.map(({ name }) => hostCommand(name, [], { dir })),
      underlay: ['nsenter', '--mount', '--net', '--target', String(holderOfUnderlay(dir)), '--'],
      ports: cluster.hosts.map(({ name }) => name),
      mtu: await mtuOf(endpoints[0], signal),
      close: async () => void (await devDown({ dir })),
    };
  } catch (error) {
    await devDown({ dir });
    throw error;
  } finally {
    client.close();
  }
}

async function mtuOf({ place }: Endpoint, signal: AbortSignal): Promise<number> {
  const text = await run([...place, 'ip', '-o', 'link', 'show', 'eth0'], signal);
  return Number(text.match(/ mtu (\d+)/)?.[1]);
}

function holderOfUnderlay(dir: string): number {
  return (JSON.parse(readFileSync(join(dir, 'processes/underlay.json'), 'utf8')) as { readonly pid: number }).pid;
}
