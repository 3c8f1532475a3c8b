// Behaviour 10: whatever the underlay carries and whatever a tenant sends, it arrives or the tenant is told what size does.
// Underlay MTU × size × DF × protocol, inside a subnet and across.
import type { Endpoint } from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoint, createSubnet, createVpc, type TestCluster, up } from './harness/cluster';
import { flows, whole, wholeEchoes } from './harness/flows';
import { allOf, ping, stream } from './harness/traffic';

const megabyte = 1 << 20;
const ipHeader = 20;
const icmpHeader = 8;
const udpHeader = 8;

for (const underlay_mtu of [1280, 1500, 9000]) {
  describe(`underlay of ${underlay_mtu}`, () => {
    let cluster: TestCluster;
    let a: Endpoint;
    let near: Endpoint;
    let far: Endpoint;
    let mtu: number;

    beforeAll(async () => {
      cluster = await up({ hosts: 3, underlay_mtu });
      await createVpc(cluster, 'acme', '10.0.0.0/16', 1);
      await createSubnet(cluster, 'acme', 'web', '10.0.1.0/24', ['h3']);
      await createSubnet(cluster, 'acme', 'db', '10.0.2.0/24', ['h3']);
      a = await createEndpoint(cluster, 'acme', 'web', 'a', 'h1');
      near = await createEndpoint(cluster, 'acme', 'web', 'near', 'h2');
      far = await createEndpoint(cluster, 'acme', 'db', 'far', 'h2');
      mtu = (await cluster.api.getHost({ name: 'h1' }).response).status?.report?.endpointMtu ?? 0;
    });

    afterAll(() => cluster?.down());

    const others = () =>
      [
        ['same subnet', near],
        ['other subnet', far],
      ] as const;

    test('the MTU leaves room for every encapsulation, and is what the interface has', async () => {
      expect(mtu).toBeGreaterThan(underlay_mtu - 130);
      // Outer IPv4, UDP, Geneve and inner Ethernet are 50 bytes without any option.
      expect(mtu).toBeLessThan(underlay_mtu - 50);
      const link = await cluster.must({ endpoint: a }, ['ip', '-o', 'link', 'show', 'eth0']);
      expect(link).toContain(` mtu ${mtu} `);
    });

    test('ICMP of every size, DF or not, fragments too', async () => {
      const largest = mtu - ipHeader - icmpHeader;
      for (const [place, other] of others()) {
        for (const size of [0, 64, largest - 1, largest]) {
          const pings = await ping(cluster, { endpoint: a }, other.ip, { count: 3, size, df: true });
          expect(pings, `${place}, ${size} bytes with DF`).toEqual(allOf(3));
        }
        for (const size of [largest + 1, 2 * mtu, 9000, 20_000]) {
          const pings = await ping(cluster, { endpoint: a }, other.ip, { count: 3, size });
          expect(pings, `${place}, ${size} bytes in fragments`).toEqual(allOf(3));
        }
      }
    });

    test('the first packets to an address may be fragments', async () => {
      for (const [i, subnet] of ['web', 'db'].entries()) {
        const fresh = await createEndpoint(cluster, 'acme', subnet, `fresh-${i}`, 'h2');
        expect(await ping(cluster, { endpoint: a }, fresh.ip, { count: 1, size: 4000 }), `in ${subnet}`).toEqual(
          allOf(1),
        );
      }
    });

    test('a full-sized packet may be the first to an address, and may ask', async () => {
      for (const [i, subnet] of ['web', 'db'].entries()) {
        const fresh = await createEndpoint(cluster, 'acme', subnet, `full-${i}`, 'h2');
        const options = { count: 1, size: mtu - ipHeader - icmpHeader, df: true };
        expect(await ping(cluster, { endpoint: a }, fresh.ip, options), `in ${subnet}`).toEqual(allOf(1));
      }
    });

    test('UDP of every size there and back', async () => {
      const account = flows(cluster);
      const talker = await account.talker(a);
      for (const [, other] of others()) {
        await account.talker(other);
        for (const size of [32, 512, mtu - ipHeader - udpHeader, mtu, 8000]) {
          talker.to(other, { rate: 200, count: 100, size, echo: true });
        }
      }
      await account.over();
      expect(await account.finish()).toMatchObject({ ...whole, sent: 1000, echoes: { ...wholeEchoes, sent: 1000 } });
    });

    test('TCP whole, both ways', async () => {
      for (const [place, other] of others()) {
        for (const [from, to] of [
          [a, other],
          [other, a],
        ] as const) {
          const sent = 8 * megabyte;
          const tcp = await (await stream(cluster, from, to, { bytes: sent })).finish();
          expect(tcp, `to the ${place}`).toEqual({ sent, received: sent, bad: 0, broken: false });
        }
      }
    });
  });
}
