import type { Attachment } from '@megrez/model';
import type { TestCluster, Where } from './cluster';

/** A network namespace on a host, held by a process, like a machine that waits for the one it takes over from. */
export interface Place {
  readonly host: string;
  readonly attachment: Attachment;
  readonly where: Where;
}

export async function place(cluster: TestCluster, host: string): Promise<Place> {
  const script = 'echo $$; ip link set lo up; echo ready; exec cat';
  const holder = await cluster.start({ host }, ['unshare', '--net', 'sh', '-c', script]);
  await holder.said('ready');
  const path = `/proc/${holder.output().split('\n')[0]}/ns/net`;
  const where = { host, netns: path };
  await cluster.must(where, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6']);
  return { host, attachment: { kind: { oneofKind: 'netns', netns: { path, interface: '' } } }, where };
}
