// The two questions that dev asks the API.
import { type Client, connect } from '@megrez/client';
import type { Endpoint, GetEndpointRequest, Host } from '@megrez/model';
import { MegrezError } from '@megrez/model';

/** Names of the hosts that are attached now; none while no controller answers yet. */
export async function attachedHosts(client: Client): Promise<ReadonlySet<string>> {
  try {
    const hosts = await listHosts(client);
    return new Set(hosts.filter(({ status }) => status?.attached).map(({ name }) => name));
  } catch (error) {
    if (error instanceof MegrezError && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED')) {
      return new Set();
    }
    throw error;
  }
}

async function listHosts(client: Client): Promise<readonly Host[]> {
  const hosts: Host[] = [];
  let pageToken = '';
  do {
    const page = await client.provisioning.listHosts({ pageSize: 0, pageToken }).response;
    hosts.push(...page.hosts);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return hosts;
}

export async function getEndpoint(server: string, request: GetEndpointRequest): Promise<Endpoint> {
  const client = connect(server, { deadline_ms: 10_000 });
  try {
    return await client.provisioning.getEndpoint(request).response;
  } finally {
    client.close();
  }
}
