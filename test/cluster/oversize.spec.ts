// Behaviour 10: a tenant may give its interface any MTU; what is larger than fits is answered with the size that does.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, type TestCluster, up } from './harness/cluster';
import { allOf, ping, stream } from './harness/traffic';

const megabyte = 1 << 20;

for (const underlay_mtu of [1500, 9000]) {
  describe(`underlay of ${underlay_mtu}`, () => {
    let cluster: TestCluster;
    let mtu: number;

    beforeAll(async () => {
      cluster = await up({ hosts: 3, underlay_mtu });
      await createVpc(cluster, 'acme', '10.0.0.0/16', 1);
      await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3']);
      await createSubnet(cluster, 'acme', 'db', '10.0.2.0/24', ['h3']);
      mtu = (await cluster.api.getHost({ name: 'h1' }).response).status?.report?.endpointMtu ?? 0;
    });

    afterAll(() => cluster?.down());

    const setMtu = (endpoint: Endpoint, bytes: number) =>
      cluster.must({ endpoint }, ['ip', 'link', 'set', 'eth0', 'mtu', String(bytes)]);

    describe('a tenant whose interface claims more than fits', () => {
      let claims: readonly Endpoint[];
      beforeAll(async () => {
        claims = [
          await createEndpoint(cluster, 'acme', 'web', 'big', 'h1'),
          await createEndpoint(cluster, 'acme', 'web', 'big-near', 'h2'),
          await createEndpoint(cluster, 'acme', 'db', 'big-far', 'h2'),
        ];
        for (const endpoint of claims) {
          await setMtu(endpoint, underlay_mtu + 500);
        }
      });

      test('with DF it is told the size that fits', async () => {
        const [big, bigNear, bigFar] = claims as [Endpoint, Endpoint, Endpoint];
        for (const other of [bigNear, bigFar]) {
          expect(await ping(cluster, { endpoint: big }, other.ip, { count: 1 })).toEqual(allOf(1));
          const { stdout } = await cluster.run({ endpoint: big }, [
            ...['ping', '-n', '-M', 'do', '-c', '1', '-W', '3'],
            ...['-s', String(underlay_mtu), other.ip],
          ]);
          expect(stdout).toMatch(
            new RegExp(`From 10\\.0\\.1\\.1 icmp_seq=1 Frag needed and DF set \\(mtu = ${mtu}\\)`),
          );
          const route = await cluster.must({ endpoint: big }, ['ip', 'route', 'get', other.ip]);
          expect(route).toContain(` mtu ${mtu}`);
        }
      });

      test('TCP finds the size by itself and arrives whole, with and without segmentation by the interface', async () => {
        const [big, bigNear, bigFar] = claims as [Endpoint, Endpoint, Endpoint];
        for (const offload of ['on', 'off']) {
          for (const other of [bigNear, bigFar]) {
            for (const endpoint of [big, other]) {
              await cluster.must({ endpoint }, ['ip', 'route', 'flush', 'cache']);
              await cluster.must({ endpoint }, ['ethtool', '-K', 'eth0', 'tso', offload, 'gso', offload]);
            }
            for (const [from, to] of [
              [big, other],
              [other, big],
            ] as const) {
              const sent = 2 * megabyte;
              const tcp = await (await stream(cluster, from, to, { bytes: sent })).finish();
              expect(tcp, `offload ${offload}`).toEqual({ sent, received: sent, bad: 0, broken: false });
            }
          }
        }
      });
    });
  });
}
