import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createVeth, getLink, listLinks, setLink } from './interface';
import {
  addAddress,
  addRoute,
  createNetns,
  deleteAddress,
  deleteNeighbour,
  deleteNetns,
  deleteRoute,
  getNeighbour,
  getSysctl,
  listRoutes,
  type NeighbourEvent,
  routeGet,
  setNeighbour,
  setSysctl,
  watchNeighbours,
  watchRoutes,
} from './network';
import { createFixture, type Fixture, refusal } from './testing/fixture';

let fixture: Fixture;
let left: string;
let right: string;
let ifindex: number;

beforeAll(async () => {
  fixture = await createFixture();
  left = await fixture.netns('left');
  right = await fixture.netns('right');
  const made = await createVeth({ name: 'l0', netns: left, up: true, peer: { name: 'r0', netns: right, up: true } });
  ifindex = made.ifindex;
  await addAddress({ dev: 'l0', netns: left, address: '10.3.0.1/24' });
  await addAddress({ dev: 'r0', netns: right, address: '10.3.0.2/24' });
});

afterAll(async () => {
  await fixture?.dispose();
});

test('a namespace is made with its loopback up, and removed', async () => {
  const path = join(fixture.directory, 'fresh');
  await createNetns(path);
  expect(await listLinks(path)).toMatchObject([{ name: 'lo', up: true }]);
  expect(await refusal(() => createNetns(path))).toMatchObject({ code: 'EEXIST', object: path });
  await deleteNetns(path);
  expect(existsSync(path)).toBe(false);
  expect(await refusal(() => deleteNetns(path))).toMatchObject({ code: 'ENOENT', object: path });
  expect(await refusal(() => listLinks(path))).toMatchObject({ code: 'ENOENT', operation: 'open namespace' });
  const missing = join(fixture.directory, 'no', 'such');
  expect(await refusal(() => createNetns(missing))).toMatchObject({ code: 'ENOENT', object: missing });
});

test('a veth with both ends in other namespaces', async () => {
  expect(await getLink({ name: 'l0', netns: left })).toMatchObject({ running: true });
  expect(await getLink({ name: 'r0', netns: right })).toMatchObject({ running: true });
});

test('addresses and routes come, are replaced, and go', async () => {
  const at = { dev: 'l0', netns: left };
  await addAddress({ ...at, address: '10.3.1.9/32', scope: 'link' });
  await addAddress({ ...at, address: '10.3.1.9/32', scope: 'link' });
  await addAddress({ ...at, address: 'fd03::1/64' });
  await addRoute({ ...at, dst: '10.99.0.0/16', via: '10.3.0.2' });
  await addRoute({ ...at, dst: '10.99.0.0/16', via: '10.3.0.7', mtu: 1350 });
  await addRoute({ ...at, dst: '10.98.0.1', via: '172.31.0.1', onlink: true });
  expect(await routeGet('10.99.1.1', left)).toEqual({ ifindex, gateway: '10.3.0.7', source: '10.3.0.1', mtu: 1350 });
  expect(await routeGet('10.98.0.1', left)).toMatchObject({ gateway: '172.31.0.1' });
  expect(await routeGet('fd03::77', left)).toEqual({ ifindex, source: 'fd03::1' });
  await deleteRoute({ ...at, dst: '10.99.0.0/16' });
  expect(await refusal(() => deleteRoute({ ...at, dst: '10.99.0.0/16' }))).toMatchObject({ code: 'ESRCH' });
  expect(await refusal(() => routeGet('10.99.1.1', left))).toMatchObject({
    code: 'ENETUNREACH',
    operation: 'find route to',
    object: '10.99.1.1/32',
  });
  await deleteAddress({ ...at, address: '10.3.1.9/32' });
  expect(await refusal(() => deleteAddress({ ...at, address: '10.3.1.9/32' }))).toMatchObject({
    code: 'EADDRNOTAVAIL',
  });
});

test('bad addresses and devices are refused', async () => {
  for (const address of ['10.0.0.1/33', '10.0.0', 'fd00::/129', '10.0.0.1/', '10.0.0.1/x', '']) {
    expect(await refusal(() => addAddress({ dev: 'l0', netns: left, address }))).toBeInstanceOf(TypeError);
  }
  expect(await refusal(() => addAddress({ netns: left, address: '10.0.0.1' } as never))).toBeInstanceOf(TypeError);
  expect(await refusal(() => addAddress({ dev: 'none', netns: left, address: '10.0.0.1' }))).toMatchObject({
    code: 'ENODEV',
    object: 'none',
  });
  const route = { dev: 'l0', netns: left, dst: '10.97.0.0/16', via: '192.168.77.1' };
  expect(await refusal(() => addRoute(route))).toMatchObject({ code: 'ENETUNREACH', object: '10.97.0.0/16' });
});

test('a managed neighbour is resolved by the kernel, without traffic of ours', async () => {
  const events: NeighbourEvent[] = [];
  const watch = watchNeighbours((event) => events.push(event), left);
  const at = { ifindex, ip: '10.3.0.2', netns: left };
  expect(await getNeighbour(at)).toBeUndefined();
  await setNeighbour({ ...at, managed: true });
  const mac = (await getLink({ name: 'r0', netns: right }))?.mac;
  await vi.waitFor(
    async () => expect(await getNeighbour(at)).toMatchObject({ ip: '10.3.0.2', mac, managed: true }),
    5000,
  );
  await vi.waitFor(
    () => expect(events).toContainEqual(expect.objectContaining({ event: 'changed', ifindex, mac })),
    5000,
  );
  expect(await deleteNeighbour(at)).toBe(true);
  expect(await deleteNeighbour(at)).toBe(false);
  await vi.waitFor(
    () => expect(events).toContainEqual(expect.objectContaining({ event: 'deleted', ip: '10.3.0.2' })),
    5000,
  );
  watch.close();
  watch.close();
  const heard = events.length;
  await setNeighbour({ ...at, mac: '02:00:00:00:00:99' });
  expect(await getNeighbour(at)).toMatchObject({ state: 'permanent', mac: '02:00:00:00:00:99', managed: false });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(events.length).toBe(heard);
});

test('routes are listed as they are, and changes of them are told', async () => {
  let changes = 0;
  const watch = watchRoutes(() => {
    changes += 1;
  }, left);
  const of = async (network: string) => (await listRoutes(left)).find((route) => route.network === network);
  expect(await of('10.3.0.0')).toEqual({ network: '10.3.0.0', length: 24, ifindex, gateway: false });
  await addRoute({ ifindex, netns: left, dst: '10.95.0.0/16', via: '10.3.0.2' });
  await addRoute({ ifindex, netns: left, dst: 'fd95::/32' });
  expect(await of('10.95.0.0')).toEqual({ network: '10.95.0.0', length: 16, ifindex, gateway: true });
  expect(await of('fd95::')).toEqual({ network: 'fd95::', length: 32, ifindex, gateway: false });
  // Its own addresses are no routes to others.
  expect(await of('10.3.0.1')).toBeUndefined();
  await vi.waitFor(() => expect(changes).toBeGreaterThanOrEqual(2));
  const before = changes;
  await deleteRoute({ ifindex, netns: left, dst: '10.95.0.0/16' });
  await vi.waitFor(() => expect(changes).toBeGreaterThan(before));
  watch.close();
  const heard = changes;
  await deleteRoute({ ifindex, netns: left, dst: 'fd95::/32' });
  expect(await of('fd95::')).toBeUndefined();
  expect(changes).toBe(heard);
});

test('a sysctl belongs to the namespace that is named', async () => {
  const path = 'net/ipv4/ip_forward';
  const own = await getSysctl({ path });
  await setSysctl({ netns: left, path, value: 1 });
  await setSysctl({ netns: right, path, value: 0 });
  expect(await getSysctl({ netns: left, path })).toBe('1');
  expect(await getSysctl({ netns: right, path })).toBe('0');
  expect(await getSysctl({ path })).toBe(own);
  const missing = 'net/ipv4/conf/nothing/arp_ignore';
  expect(await refusal(() => setSysctl({ path: missing, value: 1 }))).toMatchObject({
    code: 'ENOENT',
    object: missing,
  });
  expect(await refusal(() => setSysctl({ path: '../etc/motd', value: 1 }))).toMatchObject({ code: 'EINVAL' });
  expect(await refusal(() => setSysctl({ netns: left, path, value: 'x' }))).toMatchObject({ code: 'EINVAL' });
});

test('work in other namespaces never leaks into this one', async () => {
  const before = (await listLinks()).map((link) => link.ifindex);
  await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      i % 3 === 0
        ? setLink({ name: 'l0', netns: left, mtu: 1400 + i })
        : i % 3 === 1
          ? refusal(() => setLink({ name: 'l0', netns: join(fixture.directory, 'gone') }))
          : listLinks(right),
    ),
  );
  expect((await listLinks()).map((link) => link.ifindex)).toEqual(expect.arrayContaining(before));
  expect(await getLink({ name: 'l0' })).toBeUndefined();
});
