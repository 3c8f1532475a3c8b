// What every part of the story works with.
import type { Client } from '@megrez/client';
import type { Endpoint } from '@megrez/model';
import { agentSocket, layout } from '../layout';
import { readMetrics, type Sample } from '../metrics';
import type { DevCluster } from '../up';
import type { Narrator } from './narrate';

export interface Scene {
  readonly cluster: DevCluster;
  readonly client: Client;
  readonly tell: Narrator;
  readonly signal: AbortSignal;
}

export const vpc = 'acme';
/** Who has the subnets' maps, and who the VPC's routes. */
export const bouncer = 'h3';
export const divider = 'h4';

export const pathOf = ({ vpc, subnet, name }: Endpoint) => `${vpc}/${subnet}/${name}`;

export async function createEndpoint({ provisioning }: Client, subnet: string, name: string, host: string) {
  const started = performance.now();
  const endpoint = await provisioning.createEndpoint({
    vpc,
    subnet,
    name,
    host,
    ip: '',
    mac: '',
    attachment: { kind: { oneofKind: 'managed', managed: {} } },
    requestId: '',
    timeoutMs: 0,
  }).response;
  return { endpoint, took_ms: performance.now() - started };
}

export const samplesOf = ({ cluster: { dir } }: Scene, host: string): Promise<readonly Sample[]> =>
  readMetrics(agentSocket(layout(dir), host));

/** Hosts also probe each other's datapath. */
const probes = ['answered_echo', 'told_echo'];

/** What a host did with packets of the tenants, by verdict, summed over its programs. */
export function verdictsOf(samples: readonly Sample[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    const { verdict = 'pass' } = labels;
    if (name === 'megrez_packets_total' && verdict !== 'pass' && !probes.includes(verdict) && value > 0) {
      sums.set(verdict, (sums.get(verdict) ?? 0) + value);
    }
  }
  return sums;
}

export const list = (verdicts: ReadonlyMap<string, number>): string =>
  verdicts.size === 0 ? 'nothing' : [...verdicts].map(([verdict, packets]) => `${packets} × ${verdict}`).join(', ');
