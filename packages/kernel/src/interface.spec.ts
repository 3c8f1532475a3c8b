import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createBridge,
  createEndpointInterface,
  createTap,
  createTunnel,
  createVeth,
  deleteLink,
  driverOf,
  getFeatures,
  getLink,
  listLinks,
  setFeatures,
  setLink,
  setRps,
} from './interface';
import { getSysctl, routeGet } from './network';
import { type BpfObject, loadObject } from './object';
import { linkInfo } from './program';
import { createFixture, type Fixture, refusal } from './testing/fixture';

let fixture: Fixture;
let object: BpfObject;
let netns: string;

beforeAll(async () => {
  fixture = await createFixture();
  object = await loadObject(fixture.compile());
  netns = await fixture.netns('pod');
});

afterAll(async () => {
  object?.close();
  await fixture?.dispose();
});

test('a veth pair: each end where it belongs, as it was asked for', async () => {
  const name = fixture.ifname();
  const made = await createVeth({
    name,
    mtu: 1400,
    mac: '02:00:00:00:01:01',
    alias: 'megrez endpoint acme/web/a',
    gsoMaxSize: 60_000,
    arp: false,
    up: true,
    queues: 2,
    peer: { name: 'eth0', netns, mac: '02:00:00:00:01:02', up: true },
  });
  const near = await getLink({ name });
  expect(near).toEqual({
    ifindex: made.ifindex,
    name,
    mtu: 1400,
    maxMtu: 65_535,
    up: true,
    running: true,
    arp: false,
    gsoMaxSize: 60_000,
    mac: '02:00:00:00:01:01',
    alias: 'megrez endpoint acme/web/a',
    kind: 'veth',
    peerIfindex: made.peerIfindex,
  });
  const far = await getLink({ name: 'eth0', netns });
  expect(far).toMatchObject({ ifindex: made.peerIfindex, mtu: 1400, mac: '02:00:00:00:01:02', gsoMaxSize: 60_000 });
  expect(far?.peerIfindex).toBe(made.ifindex);
  expect(await getLink({ ifindex: made.ifindex })).toEqual(near);
  expect((await listLinks(netns)).map((link) => link.name)).toEqual(['lo', 'eth0']);
  expect((await listLinks()).some((link) => link.name === name)).toBe(true);
  expect(await driverOf({ name })).toBe('veth');
  expect(await deleteLink({ name })).toBe(true);
  expect(await deleteLink({ name })).toBe(false);
  expect(await getLink({ name })).toBeUndefined();
  expect(await getLink({ name: 'eth0', netns })).toBeUndefined();
});

test('what cannot be made is refused by name and leaves nothing', async () => {
  const name = fixture.ifname();
  const missing = join(fixture.directory, 'nowhere');
  expect(await refusal(() => createVeth({ name, peer: { name: 'e', netns: missing } }))).toMatchObject({
    code: 'ENOENT',
    operation: 'open namespace',
    object: missing,
  });
  expect(await refusal(() => createVeth({ name, peer: { name: 'e', netns: '/etc/hostname' } }))).toMatchObject({
    code: 'EINVAL',
  });
  expect(await refusal(() => listLinks('/etc/hostname'))).toMatchObject({ code: 'EINVAL', object: '/etc/hostname' });
  await createVeth({ name, peer: { name: 'dup0', netns } });
  expect(await refusal(() => createVeth({ name, peer: { name: 'dup1', netns } }))).toMatchObject({
    code: 'EEXIST',
    operation: 'create veth',
    object: name,
  });
  expect(await getLink({ name: 'dup1', netns })).toBeUndefined();
  const second = fixture.ifname();
  expect(await refusal(() => createVeth({ name: second, peer: { name: 'dup0', netns } }))).toMatchObject({
    code: 'EEXIST',
  });
  expect(await getLink({ name: second })).toBeUndefined();
  expect(await refusal(() => createVeth({ name: 'longer-than-15-chars', peer: { name: 'e' } }))).toBeInstanceOf(
    TypeError,
  );
  expect(await refusal(() => createVeth({ name, mac: '02:00', peer: { name: 'e' } }))).toBeInstanceOf(TypeError);
  expect(await refusal(() => createVeth({ name } as never))).toBeInstanceOf(TypeError);
  expect(await refusal(() => setLink({ name: 'no-such-link', up: true }))).toMatchObject({
    code: 'ENODEV',
    object: 'no-such-link',
  });
  expect(await refusal(() => setLink({ name, mtu: 10 }))).toMatchObject({ code: 'EINVAL', operation: 'set interface' });
});

test('a bridge takes a port in and lets it go', async () => {
  const [bridge, port] = [fixture.ifname(), fixture.ifname()];
  const { ifindex } = await createBridge({ name: bridge, mtu: 1450, up: true });
  await createVeth({ name: port, peer: { name: 'br0', netns } });
  await setLink({ name: port, master: bridge, up: true, mtu: 1450, alias: 'port' });
  expect(await getLink({ name: port })).toMatchObject({ master: ifindex, mtu: 1450, alias: 'port', up: true });
  expect(await getLink({ name: bridge })).toMatchObject({ kind: 'bridge', up: true });
  await setLink({ name: port, master: '', up: false, mac: '02:00:00:00:02:01' });
  const free = await getLink({ name: port });
  expect(free).toMatchObject({ up: false, mac: '02:00:00:00:02:01' });
  expect(free?.master).toBeUndefined();
  expect(await refusal(() => setLink({ name: port, master: 'no-such-bridge' }))).toMatchObject({
    code: 'ENODEV',
    object: 'no-such-bridge',
  });
});

test('a tap is made once and found again', async () => {
  const name = fixture.ifname();
  const { ifindex } = await createTap({ name, vnetHeader: true, mtu: 1420, up: true, arp: false, alias: 'vm' });
  expect(await getLink({ name })).toMatchObject({ ifindex, kind: 'tun', mtu: 1420, up: true, arp: false, alias: 'vm' });
  expect(await createTap({ name, vnetHeader: true })).toEqual({ ifindex });
  expect(await createTap({ name: 'tap0', netns })).toEqual({
    ifindex: (await getLink({ name: 'tap0', netns }))?.ifindex,
  });
  expect(await getLink({ name: 'tap0' })).toBeUndefined();
});

test('a metadata tunnel, or the word that the kernel has none', async () => {
  const name = fixture.ifname();
  await createTunnel({ kind: 'vxlan', name, port: 6081, external: true, netns, up: true });
  expect(await getLink({ name, netns })).toMatchObject({ kind: 'vxlan', up: true });
  expect(
    await refusal(() => createTunnel({ kind: 'vxlan', name: 'second', port: 6081, external: true, netns })),
  ).toMatchObject({ code: 'EEXIST', operation: 'create vxlan', object: 'second' });
  expect(
    await refusal(() => createTunnel({ kind: 'gre' as never, name: 'g', port: 1, external: true })),
  ).toBeInstanceOf(TypeError);
  const other = await fixture.netns('geneve');
  const geneve = createTunnel({ kind: 'geneve', name, port: 6081, external: true, netns: other });
  const outcome = await geneve.then(
    ({ ifindex }) => ifindex > 0,
    (error: { code: string }) => error.code,
  );
  expect([true, 'EOPNOTSUPP']).toContain(outcome);
});

test('offloads and receive CPUs', async () => {
  const name = fixture.ifname();
  await createVeth({ name, peer: { name: 'of0', netns } });
  expect(await getFeatures({ name })).toMatchObject({ tx: true, tso: true, gso: true });
  await setFeatures({ name, tso: false, gso: false, gro: true });
  expect(await getFeatures({ name })).toMatchObject({ tx: true, tso: false, gso: false, gro: true });
  await setFeatures({ name: 'of0', netns, tx: false });
  expect(await getFeatures({ name: 'of0', netns })).toMatchObject({ tx: false, tso: false });
  await setRps({ name, cpus: '1' });
  await setRps({ name: 'of0', netns, cpus: '1' });
  expect(await refusal(() => setRps({ name: 'of0', cpus: '1' }))).toMatchObject({ code: 'ENODEV', object: 'of0' });
  expect(await refusal(() => setRps({ name, cpus: 'zz' }))).toMatchObject({ code: 'EINVAL' });
  expect(await refusal(() => setFeatures({ name: 'no-such-link', gro: true }))).toMatchObject({ code: 'ENODEV' });
});

test('an endpoint interface in one call', async () => {
  const name = fixture.ifname();
  const pod = await fixture.netns('endpoint');
  const pinPrefix = join(fixture.bpffs, 'endpoint-');
  const made = await createEndpointInterface({
    name,
    netns: pod,
    peerName: 'eth0',
    mtu: 65_535,
    peerMtu: 1404,
    gsoMaxSize: 65_000,
    peerMac: '02:0a:00:00:01:05',
    alias: 'megrez acme/web/a',
    addresses: [{ address: '10.0.1.5/24' }, { address: 'fd00::5/64' }],
    routes: [
      { dst: '169.254.1.1/32' },
      { dst: 'default', via: '10.0.1.1' },
      { dst: '10.7.0.0/16', via: '169.254.1.1', onlink: true, mtu: 1300 },
      { via: 'fd00::1' },
    ],
    attach: { program: object.program('inward'), pinPrefix },
  });
  expect(await getLink({ name })).toMatchObject({
    ifindex: made.ifindex,
    mac: made.mac,
    mtu: 65_535,
    up: true,
    running: true,
    arp: false,
    alias: 'megrez acme/web/a',
  });
  expect(await getSysctl({ path: `net/ipv6/conf/${name}/disable_ipv6` })).toBe('1');
  expect(linkInfo(`${pinPrefix}${made.ifindex}`)).toMatchObject({
    ifindex: made.ifindex,
    programId: object.program('inward').id,
  });
  const far = await getLink({ name: 'eth0', netns: pod });
  expect(far).toMatchObject({ ifindex: made.peerIfindex, mac: '02:0a:00:00:01:05', up: true, arp: true, mtu: 1404 });
  expect(far?.gsoMaxSize).toBe(65_000);
  expect(await routeGet('8.8.8.8', pod)).toEqual({
    ifindex: made.peerIfindex,
    gateway: '10.0.1.1',
    source: '10.0.1.5',
  });
  expect(await routeGet('10.7.1.1', pod)).toMatchObject({ gateway: '169.254.1.1', mtu: 1300 });
  expect(await routeGet('2001:db8::1', pod)).toMatchObject({ gateway: 'fd00::1', source: 'fd00::5' });
});

test('an endpoint interface that fails half-way leaves nothing', async () => {
  const name = fixture.ifname();
  const pod = await fixture.netns('half');
  const base = { name, netns: pod, peerName: 'eth0', addresses: [{ address: '10.0.1.5/24' }] };
  const pin = join(fixture.bpffs, 'half');
  const error = await refusal(() =>
    createEndpointInterface({
      ...base,
      routes: [{ dst: '10.9.0.0/16', via: '172.16.0.1' }],
      attach: { program: object.program('inward'), pin },
    }),
  );
  expect(error).toMatchObject({ code: 'ENETUNREACH', operation: 'add route', object: '10.9.0.0/16' });
  expect(await getLink({ name })).toBeUndefined();
  const attach = { program: object.program('arrive'), pin };
  expect(await refusal(() => createEndpointInterface({ ...base, routes: [], attach }))).toMatchObject({
    operation: 'attach link',
    object: pin,
  });
  expect(await getLink({ name })).toBeUndefined();
  expect((await listLinks(pod)).map((link) => link.name)).toEqual(['lo']);
  expect(existsSync(pin)).toBe(false);
  const down = await createEndpointInterface({ ...base, routes: [], up: false });
  expect(await getLink({ ifindex: down.ifindex })).toMatchObject({ up: false });
});

test('many at once do not mix up their namespaces', async () => {
  const pods = await Promise.all(Array.from({ length: 12 }, (_, i) => fixture.netns(`many${i}`)));
  await Promise.all(
    pods.map((pod, i) =>
      createEndpointInterface({
        name: fixture.ifname(),
        netns: pod,
        peerName: `many${i}`,
        addresses: [{ address: `10.1.${i}.2/24` }],
        routes: [{ via: `10.1.${i}.1` }],
        attach: { program: object.program('inward'), pin: join(fixture.bpffs, `many${i}`) },
      }),
    ),
  );
  for (const [i, pod] of pods.entries()) {
    expect((await listLinks(pod)).map((link) => link.name)).toEqual(['lo', `many${i}`]);
    expect((await routeGet('1.1.1.1', pod)).gateway).toBe(`10.1.${i}.1`);
  }
  expect((await listLinks()).some((link) => link.name.startsWith('many'))).toBe(false);
});
