import type { Endpoint } from '@megrez/model';
import { expect } from 'vitest';
import type { TestCluster } from './cluster';
import { allOf, datagrams, ping, stream } from './traffic';

const megabytes = 1 << 20;

/** All three protocols one way, all of it whole. The replies are the other way's traffic already; it is tried by itself too. */
export async function talk(cluster: TestCluster, from: Endpoint, to: Endpoint): Promise<void> {
  expect(await ping(cluster, { endpoint: from }, to.ip)).toEqual(allOf(10));
  const tcp = await (await stream(cluster, from, to, { bytes: 20 * megabytes })).finish();
  expect(tcp).toEqual({ sent: 20 * megabytes, received: 20 * megabytes, bad: 0, broken: false });
  const udp = await (await datagrams(cluster, from, to, { rate: 4000, count: 1000 })).finish();
  expect(udp).toMatchObject({ sent: 1000, refused: 0, lost: 0, duplicated: 0, misdelivered: 0 });
}
