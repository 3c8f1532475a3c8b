// What a person cannot do with signals: taking a host off the underlay, and off the world.
import type { TestCluster } from './cluster';
import { until } from './until';

const setPort = (cluster: TestCluster, host: string, state: 'disabled' | 'forwarding') =>
  cluster.must('underlay', ['bridge', 'link', 'set', 'dev', host, 'state', state === 'disabled' ? '0' : '3']);

/** Nothing passes to or from the host any more, and its interface does not tell: a switch that fails silently. */
export const cut = (cluster: TestCluster, host: string) => setPort(cluster, host, 'disabled');

export const mend = (cluster: TestCluster, host: string) => setPort(cluster, host, 'forwarding');

/** The host loses its power: no packet and no session any more. */
export async function die(cluster: TestCluster, host: string): Promise<void> {
  await Promise.all([cut(cluster, host), cluster.signal('kill', host)]);
}

/** The host is back with everything it had in its kernel, the hardest case: all of it may be stale. */
export async function revive(cluster: TestCluster, host: string): Promise<void> {
  await mend(cluster, host);
  await cluster.signal('restart', host);
  await attached(cluster, host);
}

const isAttached = async (cluster: TestCluster, name: string): Promise<boolean> =>
  (await cluster.api.getHost({ name }).response).status?.attached ?? false;

/** Waits until the controllers agree that the host is attached, or is not. */
export async function attached(cluster: TestCluster, host: string, value = true): Promise<void> {
  await until(
    `${host} is ${value ? '' : 'not '}attached`,
    () => isAttached(cluster, host),
    (is) => is === value,
  );
}
