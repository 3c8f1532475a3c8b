import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HoldingState, maps } from '@megrez/abi';
import { formatAddress, formatMac, parseAddress, SlotState } from '@megrez/model';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { bundleAgent, startHost, type TestHost } from './testing/host';
import { endpointChange, endpointDeletion, subnetChange, tableChange, vni, vpcChange } from './testing/intent';
import { type Relay, type RelaySession, startRelay } from './testing/relay';

const other = { host: 'h2', address: '192.0.2.2' };
const self = { host: 'h1', address: '192.0.2.1' };
const introduction = [vpcChange(), subnetChange(), tableChange(other)];

let bundle: Awaited<ReturnType<typeof bundleAgent>>;
let host: TestHost;
let relay: Relay;

beforeAll(async () => {
  bundle = await bundleAgent();
});
afterAll(() => bundle.remove());
beforeEach(async () => {
  host = await startHost(bundle.path);
  relay = await startRelay(join(host.directory, 'relay'));
});
afterEach(async () => {
  await host.close();
  await relay.close();
});

const links = async (): Promise<readonly string[]> =>
  (await host.exec('ip', '-o', 'link')).split('\n').flatMap((line) => /^\d+: (mz[^@:]*)/.exec(line)?.[1] ?? []);
const pins = async (): Promise<string> => host.exec('ls', '/sys/fs/bpf/megrez/links');
const namespaces = (): Promise<string> => host.exec('ls', join(host.state, 'netns'));
/** Problems of the agent's last report. */
const problems = (session: RelaySession): string =>
  session.pings.flatMap(({ report }) => (report === undefined ? [] : [report.problems.join()])).at(-1) ?? '';
/** The tombstones that are not over, each as `address` `is gone` or `went to` a host. */
const tombstones = async (): Promise<readonly string[]> =>
  (await host.map('tombstones'))
    .filter(({ value: { until } }) => until > process.hrtime.bigint())
    .map(({ key, value: { host: to } }) => {
      const where = to.every((byte) => byte === 0) ? 'is gone' : `went to ${formatAddress(to)}`;
      return `${formatAddress(key.ip)} ${where}`;
    })
    .sort();
const metric = async (line: string): Promise<number> => {
  const { body } = await host.metrics();
  const found = body.split('\n').find((text) => text.startsWith(`${line} `));
  if (found === undefined) throw new Error(`no metric ${line}`);
  return Number(found.slice(line.length + 1));
};

test('an endpoint is made, served, and leaves nothing behind', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  expect(session.hello).toMatchObject({ host: 'h1', address: '192.0.2.1', report: { nic: 'eth0', endpointMtu: 1386 } });
  expect((await host.metrics('/healthz')).status).toBe(200);
  expect((await host.metrics('/readyz')).status).toBe(503);
  await session.send(introduction, { snapshot: true, end: true });
  expect((await host.metrics('/readyz')).status).toBe(200);

  expect((await session.send([endpointChange({ ip: '10.0.1.7' }, 10)])).failures).toEqual([]);
  const [name] = await links();
  const link = await host.exec('ip', '-d', 'link', 'show', name as string);
  expect(link).toContain('NOARP');
  // Whatever the endpoint claims reaches the program, which says what fits.
  expect(link).toContain('mtu 65535');
  expect(link).toContain(`alias megrez:${vni}/10.0.1.7`);
  expect(link).toContain('gso_max_size 65422');
  expect(await host.exec('cat', `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`)).toBe('1\n');
  const inside = await host.inside('a', 'ip', 'address', 'show', 'eth0');
  expect(inside).toContain('mtu 1386');
  expect(inside).toContain('10.0.1.7/24');
  expect(inside).toContain('02:4d:0a:00:01:07');
  expect(await host.inside('a', 'ip', 'route')).toContain('default via 10.0.1.1');
  // The gateway is the program on the host's end.
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');
  const [port] = await host.map('ports');
  expect(port?.value).toMatchObject({ vni, subnet: 3, generation: 10, mtu: 1386 });
  expect(await metric('megrez_packets_total{program="endpoint",verdict="ping_gateway"}')).toBe(1);
  const sent = '{vpc="acme",subnet="web",endpoint="a",direction="sent"}';
  expect(await metric(`megrez_endpoint_packets_total${sent}`)).toBeGreaterThanOrEqual(2);

  expect((await session.send([endpointDeletion('10.0.1.7', 11)])).failures).toEqual([]);
  expect(await links()).toEqual([]);
  expect((await pins()).split('\n')).not.toContainEqual(expect.stringContaining('endpoint-'));
  expect(await namespaces()).toBe('');
  for (const map of ['ports', 'endpoints', 'budgets', 'traffic', 'mappings'] as const) {
    expect(await host.map(map)).toEqual([]);
  }
});

test('a deletion survives a namespace in use, and one that somebody took away', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send(introduction, { snapshot: true, end: true });
  await session.send([
    endpointChange({ ip: '10.0.1.7', name: 'a' }, 10),
    endpointChange({ ip: '10.0.1.8', name: 'b' }, 11),
  ]);
  const inUse = host.inside('a', 'sleep', '2');
  await host.exec('umount', join(host.state, 'netns', 'acme.web.b'));
  await host.exec('rm', join(host.state, 'netns', 'acme.web.b'));
  const ack = await session.send([endpointDeletion('10.0.1.7', 12), endpointDeletion('10.0.1.8', 13)]);
  expect(ack.failures).toEqual([]);
  expect(await links()).toEqual([]);
  expect(await namespaces()).toBe('');
  expect(await host.map('ports')).toEqual([]);
  await inUse;
});

test('who leaves has a tombstone until two hard leases are over, and none while it is here', {
  timeout: 60_000,
}, async () => {
  relay.hardLease_ms = 3_000;
  host.start(relay.address);
  const first = await host.alive(relay.session());
  const named = (last: number, more: Parameters<typeof endpointChange>[0], generation: number) =>
    endpointChange({ ip: `10.0.1.${last}`, name: `e${last}`, ...more }, generation);
  const all = [named(7, {}, 10), named(8, {}, 11), named(9, {}, 12)];
  await first.send([...introduction, ...all], { snapshot: true, end: true });
  expect(await host.map('tombstones')).toEqual([]);

  const before = process.hrtime.bigint();
  const there = { host: 'h2', hostAddress: other.address };
  await first.send([endpointDeletion('10.0.1.7', 20), endpointDeletion('10.0.1.8', 21, other.address)]);
  expect(await tombstones()).toEqual(['10.0.1.7 is gone', '10.0.1.8 went to 192.0.2.2']);
  for (const { value } of await host.map('tombstones')) {
    expect([20, 21]).toContain(value.generation);
    expect(value.until).toBeGreaterThanOrEqual(before + 6_000_000_000n);
    expect(value.until).toBeLessThanOrEqual(process.hrtime.bigint() + 6_000_000_000n);
  }
  // A put that says another host is the same.
  await first.send([named(9, there, 22)]);
  expect(await tombstones()).toContain('10.0.1.9 went to 192.0.2.2');
  expect(await links()).toEqual([]);
  expect(await host.map('mappings')).toEqual([]);

  // Back again.
  await first.send([named(7, {}, 30)]);
  expect(await tombstones()).toEqual(['10.0.1.8 went to 192.0.2.2', '10.0.1.9 went to 192.0.2.2']);
  // A restarted agent takes those that are there, and makes one for who went meanwhile.
  const untils = async () => (await host.map('tombstones')).map(({ value: { until } }) => until);
  const were = await untils();
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  await second.send([vpcChange()], { snapshot: true, end: true });
  expect(await tombstones()).toEqual(['10.0.1.7 is gone', '10.0.1.8 went to 192.0.2.2', '10.0.1.9 went to 192.0.2.2']);
  const gone = (await host.map('tombstones')).find(({ key }) => formatAddress(key.ip) === '10.0.1.7');
  expect(gone?.value.generation).toBe(31);
  for (const until of were) expect(await untils()).toContain(until);
  // One that a snapshot names, at another host.
  await second.send([subnetChange(), tableChange(other), named(6, {}, 40)]);
  await host.kill();
  host.start(relay.address);
  const third = await host.alive(relay.session());
  await third.send([...introduction, named(6, there, 41)], { snapshot: true, end: true });
  expect(await tombstones()).toContain('10.0.1.6 went to 192.0.2.2');

  // The VPC goes, its VNI stays until the last of them is over.
  await third.send([tableChange(other, 50, true), subnetChange(50, true), vpcChange(50, true)]);
  expect(await host.map('routes')).toEqual([]);
  expect(await host.map('networks')).toHaveLength(1);
  await vi.waitFor(async () => expect(await host.map('tombstones')).toEqual([]), { timeout: 20_000, interval: 500 });
  expect(await host.map('networks')).toEqual([]);
});

test('an endpoint comes, moves on, and is served here until it is told to have left', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send([...introduction.slice(0, 2), tableChange(self)], { snapshot: true, end: true });
  const there = { host: 'h2', hostAddress: other.address };
  const mapped = async () => (await host.map('mappings')).map(({ value }) => formatAddress(value.host));
  // It comes: an interface, but the owners still say the other host.
  expect((await session.send([endpointChange({ ...there, movingTo: 'h1' }, 10)])).failures).toEqual([]);
  expect(await links()).toHaveLength(1);
  expect(await host.map('endpoints')).toHaveLength(1);
  expect(await mapped()).toEqual(['192.0.2.2']);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');
  await session.send([endpointChange({ movedFrom: 'h2' }, 11)]);
  expect(await mapped()).toEqual(['192.0.2.1']);
  await session.send([endpointChange({}, 12)]);
  const [port] = await host.map('ports');

  // It goes, to another kind of attachment there; nothing of it changes here.
  const netns = { path: '/run/elsewhere', interface: 'eth9' };
  const attachment = { kind: { oneofKind: 'netns' as const, netns } };
  expect((await session.send([endpointChange({ attachment, movingTo: 'h2' }, 20)])).failures).toEqual([]);
  expect((await session.send([endpointChange({ ...there, attachment, movedFrom: 'h1' }, 21)])).failures).toEqual([]);
  expect(await mapped()).toEqual(['192.0.2.2']);
  const [still] = await host.map('ports');
  expect(still?.key).toEqual(port?.key);
  expect(still?.value.generation).toBe(20);
  expect((await host.map('endpoints'))[0]?.value.generation).toBe(20);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');
  expect(await host.map('tombstones')).toEqual([]);

  // Also by an agent that starts in between.
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  const leaving = endpointChange({ ...there, attachment, movedFrom: 'h1' }, 21);
  await second.send([vpcChange(), subnetChange(), tableChange(self), leaving], { snapshot: true, end: true });
  expect(await host.map('ports')).toEqual([still]);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');

  expect((await second.send([endpointChange({ ...there, attachment }, 22)])).failures).toEqual([]);
  expect(await tombstones()).toEqual(['10.0.1.7 went to 192.0.2.2']);
  expect(await links()).toEqual([]);
  expect(await namespaces()).toBe('');
  for (const map of ['ports', 'endpoints', 'budgets', 'traffic'] as const) expect(await host.map(map)).toEqual([]);
  expect(await mapped()).toEqual(['192.0.2.2']);
});

/** A process in a namespace answers every datagram some milliseconds late, and says how many when none came for a while. */
const answerLate = `
  const socket = require('dgram').createSocket('udp4');
  let count = 0, timer;
  socket.on('message', (message, from) => {
    count += 1;
    clearTimeout(timer);
    timer = setTimeout(() => { console.log(count); process.exit(); }, 400);
    setTimeout(() => socket.send(message, from.port, from.address, () => {}), 5);
  }).bind(5555);`;
/** Sends a datagram every half millisecond for a second, and says how many answers came. */
const askOften = `
  const socket = require('dgram').createSocket('udp4');
  let count = 0, sent = 0;
  const start = performance.now();
  socket.on('message', () => { count += 1; });
  const timer = setInterval(() => {
    for (; sent < (performance.now() - start) * 2; sent++) socket.send('?', 5555, '10.0.1.7', () => {});
    if (sent >= 2000) { clearInterval(timer); setTimeout(() => { console.log(count); process.exit(); }, 200); }
  }, 1);`;

test('an endpoint that moves on answers everything that reached it here', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  const asker = endpointChange({ ip: '10.0.1.8', name: 'b' }, 11);
  await session.send([...introduction, endpointChange({}, 10), asker], { snapshot: true, end: true });
  const answered = host.inside('a', process.execPath, '-e', answerLate);
  const heard = host.inside('b', process.execPath, '-e', askOften);
  const received = '{vpc="acme",subnet="web",endpoint="a",direction="received"}';
  const count = () => metric(`megrez_endpoint_packets_total${received}`);
  await vi.waitFor(async () => expect(await count()).toBeGreaterThan(300), { timeout: 5_000, interval: 10 });
  await session.send([endpointChange({ host: 'h2', hostAddress: other.address }, 20)]);
  expect(await links()).toHaveLength(1);
  const [asked, came] = [Number(await answered), Number(await heard)];
  expect(asked).toBeGreaterThan(100);
  expect(came).toBe(asked);
});

test('an endpoint that claims to carry more is told what fits, also after its interface was made smaller', async () => {
  host.start(relay.address);
  const first = await host.alive(relay.session());
  const both = [endpointChange({}, 10), endpointChange({ ip: '10.0.1.8', name: 'b' }, 11)];
  await first.send([...introduction, ...both], { snapshot: true, end: true });
  await host.inside('a', 'ip', 'link', 'set', 'eth0', 'mtu', '2000');
  const big = async () => {
    // The error is remembered by the route.
    await host.inside('a', 'ip', 'route', 'flush', 'cache');
    const ping = ['ping', '-M', 'do', '-s', '1500', '-c', '1', '-W', '2', '10.0.1.8'];
    return host.inside('a', 'sh', '-c', '"$@" || true', 'sh', ...ping);
  };
  expect(await big()).toMatch(/From 10\.0\.1\.1 .*Frag needed and DF set \(mtu = 1386\)/);

  // As an agent left it that made both ends alike.
  const before = await host.map('ports');
  const names = await links();
  for (const name of names) await host.exec('ip', 'link', 'set', name, 'mtu', '1386');
  expect(await big()).not.toContain('Frag needed');
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  await second.send([...introduction, ...both], { snapshot: true, end: true });
  expect(await links()).toEqual(names);
  expect(await host.map('ports')).toEqual(before);
  expect(await host.inside('a', 'ip', 'link', 'show', 'eth0')).toContain('mtu 2000');
  expect(await big()).toContain('Frag needed and DF set (mtu = 1386)');
});

test('a divider has the routes and tables of all subnets, and says so when it has them', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  const dividers = (generation: number, state: SlotState) => tableChange(self, generation, false, { subnet: 0, state });
  const db = { name: 'db', number: 4, cidrs: ['10.0.2.0/23'], gateways: ['10.0.2.1'] };
  await session.send([vpcChange(), dividers(4, SlotState.SERVING)], { snapshot: true });
  expect(await host.map('holdings')).toEqual([]);
  await session.send([subnetChange(), tableChange(other), subnetChange(5, false, db)], { snapshot: true, end: true });
  expect((await host.map('holdings')).map(({ key }) => key.subnet)).toEqual(Array.from({ length: 256 }, () => 0));
  expect((await host.map('slots')).length).toBe(512);
  const routes = async () =>
    (await host.map('routes'))
      .map(({ key, value }) => `${formatAddress(key.address)}/${key.length} ${value.subnet} ${value.generation}`)
      .sort();
  expect(await routes()).toEqual(['10.0.1.0/152 3 2', '10.0.2.0/151 4 5']);
  const states = async () => new Set((await host.map('holdings')).map(({ value }) => value.state));
  await session.send([dividers(6, SlotState.LEAVING)]);
  expect(await states()).toEqual(new Set([HoldingState.leaving]));
  // A prefix passes from one subnet to the next in one batch, and what is left of the first comes late.
  const next = { name: 'next', number: 5, cidrs: ['10.0.2.0/23'], gateways: ['10.0.2.1'] };
  await session.send([subnetChange(7, true, db), subnetChange(8, false, next)]);
  await session.send([subnetChange(7, true, db)]);
  expect(await routes()).toEqual(['10.0.1.0/152 3 2', '10.0.2.0/151 5 8']);
});

test('an endpoint of both families has both in its namespace and in the kernel; one of IPv4 says nothing in IPv6', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  const prefixes = { cidrs: ['10.0.1.0/24', 'fd00:1::/64'], gateways: ['10.0.1.1', 'fd00:1::1'] };
  await session.send([vpcChange(), subnetChange(2, false, prefixes), tableChange(self)], { snapshot: true, end: true });
  const ip6 = 'fd00:1::7';
  const dual = endpointChange({ ip6 }, 10);
  expect((await session.send([dual, endpointChange({ ip: '10.0.1.8', name: 'b' }, 11)])).failures).toEqual([]);
  expect(await host.inside('a', 'ip', 'address', 'show', 'eth0')).toMatch(/fd00:1::7\/64 scope global nodad/);
  expect(await host.inside('a', 'ip', '-6', 'route')).toContain('default via fd00:1::1');
  expect(await host.inside('a', 'ip', 'route')).toContain('default via 10.0.1.1');
  expect(await host.inside('b', 'ip', '-6', 'address', 'show', 'eth0')).toBe('');
  const addresses = async (map: 'endpoints' | 'mappings') =>
    (await host.map(map)).map(({ key }) => formatAddress(key.ip)).sort();
  const both = ['10.0.1.7', '10.0.1.8', ip6];
  expect([await addresses('endpoints'), await addresses('mappings')]).toEqual([both, both]);
  const port = (await host.map('ports')).find(({ value }) => formatAddress(value.ip4.ip) === '10.0.1.7')?.value;
  expect([port?.ip6.ip, port?.ip6.gateway].map((address) => address && formatAddress(address))).toEqual([
    ip6,
    'fd00:1::1',
  ]);

  // Another snapshot keeps it all, a deletion ends it all.
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  await second.send([vpcChange(), subnetChange(2, false, prefixes), tableChange(self), dual], {
    snapshot: true,
    end: true,
  });
  expect([await addresses('endpoints'), await addresses('mappings')]).toEqual([
    ['10.0.1.7', ip6],
    ['10.0.1.7', ip6],
  ]);
  expect(await tombstones()).toEqual(['10.0.1.8 is gone']);
  // The second address of an endpoint that was here before is withdrawn late.
  await second.send([endpointDeletion(ip6, 9)]);
  expect(await addresses('endpoints')).toEqual(['10.0.1.7', ip6]);
  expect(await tombstones()).toEqual(['10.0.1.8 is gone']);
  await second.send([endpointDeletion('10.0.1.7', 20, other.address)]);
  expect([await addresses('endpoints'), await addresses('mappings')]).toEqual([[], []]);
  expect(await tombstones()).toEqual(['10.0.1.7 went to 192.0.2.2', '10.0.1.8 is gone', `${ip6} went to 192.0.2.2`]);
});

test('a killed agent that starts again changes nothing, and removes what was deleted meanwhile', async () => {
  host.start(relay.address);
  const first = await host.alive(relay.session());
  const keep = endpointChange({ ip: '10.0.1.7', name: 'a' }, 10);
  const foreign = endpointChange({ ip: '10.0.1.9', host: 'h2', hostAddress: '192.0.2.2' }, 12);
  const gone = endpointChange({ ip: '10.0.1.8', name: 'b' }, 11);
  const mine = tableChange(self);
  await first.send([vpcChange(), subnetChange(), mine, keep, gone, foreign], { snapshot: true, end: true });
  const before = {
    link: await host.exec('ip', '-o', 'link'),
    config: await host.map('config'),
    ports: await host.map('ports'),
  };
  expect((await host.map('mappings')).length).toBe(3);
  await host.kill();

  host.start(relay.address);
  const second = await host.alive(relay.session());
  expect(second.hello.storeId).toBe(relay.storeId);
  // Half a snapshot proves nothing.
  await second.send([vpcChange(), subnetChange(), mine], { snapshot: true });
  expect(await host.map('config')).toEqual(before.config);
  expect(await host.map('ports')).toEqual(before.ports);
  expect((await host.map('mappings')).length).toBe(3);
  expect(await links()).toHaveLength(2);

  await second.send([keep], { snapshot: true, end: true });
  expect(await links()).toHaveLength(1);
  const kept = await host.map('ports');
  expect(before.ports).toContainEqual(kept[0]);
  expect((await host.map('mappings')).map(({ key }) => formatAddress(key.ip))).toEqual(['10.0.1.7']);
  expect(await namespaces()).toBe('acme.web.a\n');
  expect(await metric('megrez_map_writes_total{map="ports",operation="put"}')).toBe(0);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');
});

test('a session that breaks in its snapshot prunes nothing; the next one is complete', async () => {
  host.start(relay.address);
  const first = await host.alive(relay.session());
  await first.send([...introduction, endpointChange({}, 10)], { snapshot: true, end: true });
  first.end();
  const second = await host.alive(relay.session());
  await second.send([vpcChange()], { snapshot: true });
  second.end();
  const third = await host.alive(relay.session());
  // What the agent cannot remove is no reason to refuse every snapshot.
  await host.exec('mkdir', join(host.state, 'netns', 'foreign'));
  expect(await links()).toHaveLength(1);
  expect((await host.map('slots')).length).toBe(256);
  await third.send([], { snapshot: true, end: true });
  expect(await links()).toEqual([]);
  expect(await host.map('slots')).toEqual([]);
  expect(await host.map('routes')).toEqual([]);
  // The VNI is known as long as it has tombstones.
  expect(await tombstones()).toEqual(['10.0.1.7 is gone']);
  expect(await host.map('networks')).toHaveLength(1);
  expect(await namespaces()).toBe('foreign\n');
});

test('an endpoint in a namespace that does not exist is a failure of its own', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send(introduction, { snapshot: true, end: true });
  const netns = { path: '/run/nowhere', interface: '' };
  const { failures } = await session.send([
    endpointChange({ ip: '10.0.1.7', attachment: { kind: { oneofKind: 'netns', netns } } }, 10),
    endpointChange({ ip: '10.0.1.8', name: 'b' }, 11),
  ]);
  expect(failures).toMatchObject([{ generation: 10, vni, ip: '10.0.1.7', reason: 'NETNS_NOT_FOUND' }]);
  expect(await links()).toHaveLength(1);
  expect((await host.map('ports')).map(({ value }) => formatAddress(value.ip4.ip))).toEqual(['10.0.1.8']);
  expect(await namespaces()).toBe('acme.web.b\n');
  await vi.waitFor(() => expect(problems(session)).toContain('/run/nowhere'));
});

test('a name and its namespace pass from one endpoint to the next', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send([...introduction, endpointChange({ ip: '10.0.1.7' }, 10)], { snapshot: true, end: true });
  for (let n = 8; n < 12; n++) {
    const changes = [endpointDeletion(`10.0.1.${n - 1}`, 2 * n), endpointChange({ ip: `10.0.1.${n}` }, 2 * n + 1)];
    expect((await session.send(changes)).failures).toEqual([]);
    expect(await host.inside('a', 'ip', 'address', 'show', 'eth0')).toContain(`10.0.1.${n}/24`);
  }
  expect(await links()).toHaveLength(1);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');

  // The deletion is only what a snapshot does not say; the successor may come in its first page.
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  const successor = [...introduction, endpointChange({ ip: '10.0.1.31' }, 40)];
  expect((await second.send(successor, { snapshot: true })).failures).toEqual([]);
  expect((await second.send([], { snapshot: true, end: true })).failures).toEqual([]);
  expect(await host.inside('a', 'ip', 'address', 'show', 'eth0')).toContain('10.0.1.31/24');
  second.end();
  const third = await host.alive(relay.session());
  const last = [...introduction, endpointChange({ ip: '10.0.1.32' }, 50)];
  expect((await third.send(last, { snapshot: true, end: true })).failures).toEqual([]);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');
  expect((await host.map('ports')).map(({ value }) => formatAddress(value.ip4.ip))).toEqual(['10.0.1.32']);
  expect((await host.map('endpoints')).map(({ key }) => formatAddress(key.ip))).toEqual(['10.0.1.32']);
});

test('what cannot be made keeps its namespace, its own generation, and is forgotten with its endpoint', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send([...introduction, endpointChange({}, 10)], { snapshot: true, end: true });
  await host.inside('a', 'ip', 'link', 'delete', 'eth0');
  await host.inside('a', 'ip', 'link', 'add', 'eth0', 'type', 'veth');
  const refused = [{ generation: 11, ip: '10.0.1.7', reason: 'INTERFACE_EXISTS' }];
  expect((await session.send([endpointChange({}, 11)])).failures).toMatchObject(refused);
  expect(await namespaces()).toBe('acme.web.a\n');
  expect((await session.send([tableChange(other, 12)])).failures).toMatchObject(refused);
  await vi.waitFor(() => expect(problems(session)).toContain('10.0.1.7'));
  await session.send([endpointDeletion('10.0.1.7', 13)]);
  await vi.waitFor(() => expect(problems(session)).toBe(''));
});

test('an endpoint lives in a namespace that was there before, under the name asked for', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send(introduction, { snapshot: true, end: true });
  await host.exec('ip', 'netns', 'add', 'mza-given');
  try {
    const netns = { path: '/run/netns/mza-given', interface: 'pod0' };
    const given = { attachment: { kind: { oneofKind: 'netns' as const, netns } } };
    expect((await session.send([endpointChange(given, 10)])).failures).toEqual([]);
    expect(await host.exec('ip', '-n', 'mza-given', 'address', 'show', 'pod0')).toContain('10.0.1.7/24');
    // A second endpoint cannot have the same interface.
    const { failures } = await session.send([endpointChange({ ip: '10.0.1.8', name: 'b', ...given }, 11)]);
    expect(failures).toMatchObject([{ ip: '10.0.1.8', reason: 'INTERFACE_EXISTS' }]);
    await session.send([endpointDeletion('10.0.1.7', 12)]);
    expect(await host.exec('ip', '-n', 'mza-given', '-o', 'link')).not.toContain('pod0');
    expect(existsSync('/run/netns/mza-given')).toBe(true);
  } finally {
    await host.exec('ip', 'netns', 'delete', 'mza-given');
  }
});

test('a tap is made in the host, without an address', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send(introduction, { snapshot: true, end: true });
  const attachment = { kind: { oneofKind: 'tap' as const, tap: { name: 'vm0' } } };
  expect((await session.send([endpointChange({ attachment }, 10)])).failures).toEqual([]);
  expect(await host.exec('ip', '-d', 'link', 'show', 'vm0')).toContain('tun type tap');
  expect((await host.map('endpoints'))[0]?.value.flags).toBe(0);
  await session.send([endpointDeletion('10.0.1.7', 11)]);
  expect(await host.exec('ip', '-o', 'link')).not.toContain('vm0');
  // The name of the underlay's interface.
  const taken = { kind: { oneofKind: 'tap' as const, tap: { name: 'eth0' } } };
  const refused = (await session.send([endpointChange({ attachment: taken }, 12)])).failures;
  const message = 'the host has an interface eth0 that is no tap of ours';
  expect(refused).toMatchObject([{ generation: 12, reason: 'INTERFACE_EXISTS', message }]);
  await session.send([endpointDeletion('10.0.1.7', 13)]);
  expect(await host.exec('ip', '-o', 'link')).toContain('eth0');
});

test('a bouncer has mappings and holdings, and says what it would answer', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  const foreign = endpointChange({ ip: '10.0.1.9', host: 'h2', hostAddress: '192.0.2.2' }, 10);
  await session.send([vpcChange(), subnetChange(), tableChange(self)], { snapshot: true });
  // Its mappings are not complete yet.
  expect(await host.map('holdings')).toEqual([]);
  await session.send([foreign], { snapshot: true, end: true });
  expect((await host.map('holdings')).length).toBe(256);
  expect(await session.ask(vni, '10.0.1.9')).toMatchObject({ found: true, hostAddress: '192.0.2.2', generation: 10 });
  expect(await session.ask(vni, '10.0.1.10')).toMatchObject({ found: false });
  // A lower generation never replaces a higher one.
  await session.send([endpointChange({ ip: '10.0.1.9', host: 'h3', hostAddress: '192.0.2.3' }, 9)]);
  await session.send([endpointDeletion('10.0.1.9', 9)]);
  expect(await session.ask(vni, '10.0.1.9')).toMatchObject({ found: true, hostAddress: '192.0.2.2' });
  await session.send([endpointDeletion('10.0.1.9', 11)]);
  expect(await host.map('mappings')).toEqual([]);
});

test('a slot that was loading serves when the snapshot that says so is complete', async () => {
  host.start(relay.address);
  const first = await host.alive(relay.session());
  const held = (generation: number, state: SlotState) => tableChange(self, generation, false, { state });
  const foreign = endpointChange({ ip: '10.0.1.9', host: 'h2', hostAddress: '192.0.2.2' }, 10);
  const states = async () => [...new Set((await host.map('holdings')).map(({ value }) => value.state))];
  await first.send([vpcChange(), subnetChange(), tableChange(other)], { snapshot: true, end: true });
  await first.send([held(5, SlotState.LOADING)]);
  expect(await states()).toEqual([HoldingState.loading]);
  first.end();
  const second = await host.alive(relay.session());
  await second.send([vpcChange(), subnetChange(), held(12, SlotState.SERVING)], { snapshot: true });
  expect(await states()).toEqual([HoldingState.loading]);
  await second.send([foreign], { snapshot: true, end: true });
  expect(await states()).toEqual([HoldingState.serving]);
  // What it holds no longer it has no mappings of, although it is told of the endpoint.
  await second.send([
    tableChange(other, 20),
    endpointChange({ ip: '10.0.1.9', host: 'h3', hostAddress: '192.0.2.3' }, 21),
  ]);
  expect(await host.map('holdings')).toEqual([]);
  expect(await host.map('mappings')).toEqual([]);
});

test('revisions of a restored store count, although they are lower', async () => {
  host.start(relay.address);
  const first = await host.alive(relay.session());
  const at = (address: string, generation: number) =>
    endpointChange({ ip: '10.0.1.9', host: 'h2', hostAddress: address }, generation);
  await first.send([vpcChange(), subnetChange(), tableChange(self), at('192.0.2.2', 50)], {
    snapshot: true,
    end: true,
  });
  const address = Buffer.from(parseAddress('10.0.1.9'));
  const path = maps.paths.value.encode({ ...maps.paths.value.decode(Buffer.alloc(256)), generation: 50 });
  const hex = (bytes: Buffer) => ['hex', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))];
  const pin = '/sys/fs/bpf/megrez/paths';
  const key = hex(maps.paths.key.encode({ vni, ip: address }));
  await host.exec('bpftool', 'map', 'update', 'pinned', pin, 'key', ...key, 'value', ...hex(path));
  expect(await host.map('paths')).toHaveLength(1);
  const before = relay.storeId;
  relay.storeId = 'restored';
  first.end();
  // Half of the new store's rows are no rows of the new store.
  const half = await host.alive(relay.session());
  await half.send([vpcChange(), subnetChange(), tableChange(self)], { snapshot: true });
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  expect(second.hello.storeId).toBe(before);
  await second.send([vpcChange(), subnetChange(), tableChange(self), at('192.0.2.3', 20)], {
    snapshot: true,
    end: true,
  });
  expect(await second.ask(vni, '10.0.1.9')).toMatchObject({ hostAddress: '192.0.2.3', generation: 20 });
  expect(await host.map('paths')).toEqual([]);
  second.end();
  expect((await host.alive(relay.session())).hello.storeId).toBe('restored');
});

test('next hops of the owners are in the kernel when their table is acknowledged', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send(introduction, { snapshot: true, end: true });
  const [hop] = await host.map('next_hops');
  const far = await host.exec('ip', 'neigh', 'show', '192.0.2.2');
  expect(formatAddress(hop?.key.host as Uint8Array)).toBe('192.0.2.2');
  expect(far).toContain(formatMac(hop?.value.destination as Uint8Array));
  expect(far).toContain('managed');
  // An owner that cannot be reached holds its table up for a second, and is a problem.
  await session.send([tableChange({ host: 'h9', address: '192.0.2.99' }, 20)]);
  await vi.waitFor(() => expect(problems(session)).toContain('192.0.2.99'));
  expect(await host.map('next_hops')).toEqual([]);
});

test('a bouncer on a veth comes when the far end can hear it, and goes before that stops listening', async () => {
  const running = async (): Promise<string> => {
    const [link] = JSON.parse(await host.exec('ip', '-json', '-details', 'link', 'show', 'eth0')) as [
      { xdp?: { prog: { name: string } } },
    ];
    return link.xdp?.prog.name ?? 'none';
  };
  const pass = fileURLToPath(new URL('../../../dist/bpf/pass.bpf.o', import.meta.url));
  const far = (...xdp: readonly string[]) => host.far('ip', 'link', 'set', 'dev', 'far', ...xdp);
  const hook = (session: RelaySession) => session.pings.flatMap(({ report }) => report?.nicHook ?? []).at(-1);
  const bouncer = [vpcChange(), subnetChange(), tableChange(self)];
  host.start(relay.address);
  const first = await host.alive(relay.session());
  // Nobody follows: for half a second it only lets pass, then it is gone.
  await first.send(bouncer, { snapshot: true, end: true });
  const seen = new Set<string>();
  await vi.waitFor(
    async () => {
      seen.add(await running());
      expect(host.log()).toContain('runs no XDP');
    },
    { timeout: 5_000, interval: 1 },
  );
  expect([...seen]).toContain('pass');
  expect([...seen]).not.toContain('bouncer');
  await vi.waitFor(async () => expect(await running()).toBe('none'));

  // The far end follows.
  await host.kill();
  host.start(relay.address);
  const second = await host.alive(relay.session());
  const follow = vi.waitFor(async () => expect(await running()).toBe('pass'), { timeout: 5_000, interval: 1 });
  await second.send(bouncer, { snapshot: true, end: true });
  await follow;
  await far('xdpdrv', 'obj', pass, 'sec', 'xdp.frags');
  await vi.waitFor(async () => expect(await running()).toBe('bouncer'), { timeout: 5_000 });
  await vi.waitFor(() => expect(hook(second)).toBe('native'), { timeout: 5_000 });
  // A restarted agent finds both ends as they should be: never without the bouncer.
  await host.kill();
  expect(await running()).toBe('bouncer');
  host.start(relay.address);
  const third = await host.alive(relay.session());
  expect(await running()).toBe('bouncer');
  await third.send([...bouncer, endpointChange({}, 10)], { snapshot: true, end: true });
  await vi.waitFor(async () => expect(await running()).toBe('none'), { timeout: 5_000 });
  await vi.waitFor(() => expect(hook(third)).toBe('tc'), { timeout: 5_000 });
  await far('xdp', 'off');
});

test('a host behind a router is reached by the router, whichever it is now', async () => {
  // Two routers on the link, each with a link address of its own.
  const routers = `ip link add link far name far2 type macvlan mode bridge
    echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
    ip link set far2 up
    ip address add 192.0.2.4/32 dev far2`;
  await host.far('sh', '-euc', routers);
  const mac = async (name: string) =>
    /link\/ether (\S+)/.exec(await host.far('ip', 'link', 'show', name))?.[1] ?? 'none';
  const route = (...args: readonly string[]) => host.exec('ip', 'route', ...args);
  await route('add', '198.51.100.0/24', 'via', '192.0.2.2');
  host.start(relay.address);
  const session = await host.alive(relay.session());
  const distant = { host: 'h5', address: '198.51.100.5' };
  await session.send([vpcChange(), subnetChange(), tableChange(distant)], { snapshot: true, end: true });
  const hop = async () => {
    const found = await host.map('next_hops');
    return found.map(({ key, value }) => `${formatAddress(key.host)} ${formatMac(value.destination)}`);
  };
  expect(await hop()).toEqual([`198.51.100.5 ${await mac('far')}`]);
  expect(await host.exec('ip', 'neigh', 'show', '192.0.2.2')).toContain('managed');
  const onlink = async () => (await host.map('config'))[0]?.value.onlink_mask.filter((byte) => byte === 0).length;
  expect(await onlink()).toBe(1);

  // Another router, none, and this one again.
  const gateway = await mac('far2');
  expect(gateway).not.toBe(await mac('far'));
  await route('replace', '198.51.100.0/24', 'via', '192.0.2.4');
  await vi.waitFor(async () => expect(await hop()).toEqual([`198.51.100.5 ${gateway}`]), { timeout: 4_000 });
  expect(await host.exec('ip', 'neigh', 'show', '192.0.2.2')).not.toContain('managed');
  await route('delete', '198.51.100.0/24');
  await vi.waitFor(async () => expect(await hop()).toEqual([]), { timeout: 4_000 });
  await vi.waitFor(() => expect(problems(session)).toContain('198.51.100.5'));
  // A host of the own prefix that is no neighbour: the prefix is looked up from now on.
  await route('add', '192.0.2.77/32', 'via', '192.0.2.3');
  await vi.waitFor(async () => expect(await onlink()).toBe(0), { timeout: 4_000 });
  await route('delete', '192.0.2.77/32');
  await route('add', '198.51.100.0/24', 'via', '192.0.2.2');
  await vi.waitFor(async () => expect(await hop()).toEqual([`198.51.100.5 ${await mac('far')}`]), { timeout: 4_000 });
  await vi.waitFor(async () => expect(await onlink()).toBe(1), { timeout: 4_000 });
});

test('hosts that leave the datapath without an answer are reported until they are heard', async () => {
  const hex = (bytes: Buffer) => ['hex', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))];
  const now = process.hrtime.bigint();
  const state = async (address: string, asked_at: bigint, heard_at: bigint) => {
    const key = hex(maps.hosts.key.encode({ host: parseAddress(address) }));
    const value = hex(maps.hosts.value.encode({ asked_at, heard_at, probed_at: 0n }));
    const pin = '/sys/fs/bpf/megrez/hosts';
    await host.exec('bpftool', 'map', 'update', 'pinned', pin, 'key', ...key, 'value', ...value);
  };
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send(introduction, { snapshot: true, end: true });
  const silent = () => session.pings.flatMap(({ report }) => (report === undefined ? [] : [report.silentHosts])).at(-1);
  const second = 1_000_000_000n;
  await state('192.0.2.9', now - 2n * second, now - 3n * second);
  await state('192.0.2.8', now + 3600n * second, 0n);
  await state('192.0.2.7', now - 3n * second, now - 2n * second);
  await vi.waitFor(() => expect(silent()).toEqual(['192.0.2.9']), { timeout: 5_000 });
  await state('192.0.2.9', now - 2n * second, now);
  await vi.waitFor(() => expect(silent()).toEqual([]), { timeout: 5_000 });
});

/** A UDP datagram to 192.0.2.1:5555 as a broadcast frame inside VXLAN. */
const stranger = (): Buffer => {
  const datagram = Buffer.from('15b315b3000c0000666f7267', 'hex');
  const ip = Buffer.from('450000200000400040110000c0000202c0000201', 'hex');
  let sum = 0;
  for (let i = 0; i < ip.length; i += 2) sum += ip.readUInt16BE(i);
  ip.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  return Buffer.concat([Buffer.from('0800000000000700ffffffffffff0200000000010800', 'hex'), ip, datagram]);
};

test('a tunnel packet that is nobody’s does not reach a socket of the host', async () => {
  host.start(relay.address);
  await host.alive(relay.session());
  expect(await host.exec('ip', 'link', 'show', 'megrez-gro')).toContain('UP');
  const send = (port: number, payload: Buffer): string =>
    `const socket = require('dgram').createSocket('udp4');
     socket.send(Buffer.from('${payload.toString('hex')}', 'hex'), ${port}, '192.0.2.1', () => socket.close());`;
  // The first thing it hears: the last datagram is an ordinary one, on the same way after the others.
  const heard = host.exec(
    process.execPath,
    '-e',
    `setTimeout(() => process.exit(1), 10_000).unref();
     const socket = require('dgram').createSocket('udp4');
     socket.on('message', (message) => { console.log(message.toString()); socket.close(); }).bind(5555, () => {
       require('fs').writeFileSync('${join(host.directory, 'listening')}', '');
     });`,
  );
  await vi.waitFor(() => expect(existsSync(join(host.directory, 'listening'))).toBe(true), { timeout: 5_000 });
  for (let i = 0; i < 3; i++) await host.far(process.execPath, '-e', send(6081, stranger()));
  await host.far(process.execPath, '-e', send(5555, Buffer.from('honest')));
  expect(await heard).toBe('honest\n');
  expect(await metric('megrez_packets_total{program="tunnel",verdict="foreign"}')).toBe(3);
});

test('attached is a deadline that only answered pings push on', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await vi.waitFor(() => expect(session.pings.length).toBeGreaterThan(1));
  const until = async () => (await host.map('attached'))[0]?.value.until ?? -1n;
  // Nothing is attached before its rows are complete.
  expect(await until()).toBe(0n);
  await session.send(introduction, { snapshot: true, end: true });
  await vi.waitFor(async () => expect(await until()).toBeGreaterThan(process.hrtime.bigint()), { timeout: 5_000 });
  expect(await until()).toBeLessThanOrEqual(process.hrtime.bigint() + 2_000_000_000n);
  // The agent gives a silent controller up; by the time it finds the next one it is attached no more.
  relay.answers = false;
  const next = await host.alive(relay.session());
  expect(await until()).toBeLessThan(process.hrtime.bigint());
  relay.answers = true;
  await next.send(introduction, { snapshot: true, end: true });
  await vi.waitFor(async () => expect(await until()).toBeGreaterThan(process.hrtime.bigint()), { timeout: 5_000 });
});

test('without a controller the datapath stays as it is', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send([...introduction, endpointChange({}, 10)], { snapshot: true, end: true });
  await host.kill();
  await relay.close();
  host.start(relay.address);
  await vi.waitFor(() => expect(host.log()).toContain('no session'), { timeout: 10_000 });
  expect(await links()).toHaveLength(1);
  expect(await host.inside('a', 'ping', '-c', '1', '-W', '2', '10.0.1.1')).toContain('1 received');
  expect((await host.map('config'))[0]?.value.soft_lease_ns).toBe(5_000_000_000n);
});

test('100,000 mappings fit into 96 MiB', { timeout: 120_000 }, async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send([vpcChange(), subnetChange(), tableChange(self)], { snapshot: true });
  const page = (from: number) =>
    Array.from({ length: 2_000 }, (_, i) => {
      const n = from + i;
      const ip = `10.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
      return endpointChange({ ip, host: 'h2', hostAddress: '192.0.2.2', name: `e${n}` }, 100 + n);
    });
  for (let n = 0; n < 100_000; n += 2_000) await session.send(page(n), { snapshot: true });
  await session.send([], { snapshot: true, end: true });
  expect(await metric('megrez_map_entries{map="mappings"}')).toBe(100_000);
  // A large snapshot's garbage is collected when it is complete.
  const resident_kb = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.agent?.pid}/status`, 'utf8'))?.[1]);
  await vi.waitFor(() => expect(resident_kb()).toBeLessThan(96 * 1_024), { timeout: 10_000 });
});
