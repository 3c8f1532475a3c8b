import fc from 'fast-check';
import { expect, test } from 'vitest';
import { validate } from './arguments';
import { layout } from './layout';
import { agentArguments, controllerArguments, type DevHost, planControllers, planHosts, type Underlay } from './plan';
import { cpuMask, hostBatch, portOf, underlayBatch } from './underlay';

const paths = layout('/run/x');
const [h1] = planHosts(1) as [DevHost];

test('hosts are named h1, h2 … and their addresses follow 192.168.240.10', () => {
  expect(planHosts(2)).toEqual([
    { name: 'h1', address: '192.168.240.11', prefix_bits: 20 },
    { name: 'h2', address: '192.168.240.12', prefix_bits: 20 },
  ]);
  expect(planHosts(300).at(-1)).toMatchObject({ name: 'h300', address: '192.168.241.54' });
});

test('behind a router every host has a subnet of its own', () => {
  expect(planHosts(300, 'routed').at(-1)).toEqual({
    name: 'h300',
    address: '192.168.244.178',
    prefix_bits: 30,
    gateway: '192.168.244.177',
  });
});

test.each<Underlay>(['bridge', 'routed', 'direct'])(
  '%s: all addresses are different and inside the /20, none its first or last',
  (underlay) => {
    const hosts = planHosts(1000, underlay);
    const addresses = hosts.flatMap(({ address, gateway = [] }) => [address].concat(gateway));
    expect(new Set(addresses).size).toBe(addresses.length);
    for (const address of addresses) {
      const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number];
      expect([a, b, c >= 240 && c <= 255, d >= 0 && d <= 255]).toEqual([192, 168, true, true]);
      expect(['192.168.240.0', '192.168.255.255']).not.toContain(address);
    }
  },
);

test('an agent is told every controller, by sockets that cross network namespaces', () => {
  const args = agentArguments(paths, planControllers(2), h1);
  expect(args).toEqual([
    ...['agent', '--host', 'h1', '--address', '192.168.240.11', '--nic', 'eth0'],
    ...['--server', 'unix:/run/x/sockets/controller-1.sock', '--server', 'unix:/run/x/sockets/controller-2.sock'],
    ...['--bpffs', '/sys/fs/bpf', '--state', '/run/x/hosts/h1', '--metrics', 'unix:/run/x/sockets/h1.sock'],
  ]);
});

test('a controller listens on TCP and on its socket', () => {
  expect(controllerArguments(paths, 'controller-1', '127.0.0.1:7400', 'http://127.0.0.1:1').join(' ')).toBe(
    'controller --listen 127.0.0.1:7400 --listen unix:/run/x/sockets/controller-1.sock --etcd http://127.0.0.1:1' +
      ' --underlay-prefix 192.168.240.0/20',
  );
});

test('the mask names every CPU and no other', () => {
  expect([1, 2, 8, 32, 33, 64].map(cpuMask)).toEqual(['1', '3', 'ff', 'ffffffff', '1,ffffffff', 'ffffffff,ffffffff']);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4096 }), (cpus) => {
      const words = cpuMask(cpus).split(',');
      const bits = words.map((word) => Number.parseInt(word, 16).toString(2)).join('');
      expect(bits).toBe('1'.repeat(cpus));
    }),
  );
});

test('one batch makes the bridge and a veth pair per host', () => {
  expect(underlayBatch('bridge', [{ host: h1, pid: 77 }], 1500).split('\n')).toEqual([
    'link add underlay mtu 1500 type bridge mcast_snooping 0',
    'link set underlay up',
    'link add h1 mtu 1500 type veth peer name eth0 mtu 1500 netns 77',
    'link set h1 master underlay up',
    '',
  ]);
});

test('a router has an address in the subnet of every host, which routes through it', () => {
  const [host] = planHosts(1, 'routed') as [DevHost];
  expect(underlayBatch('routed', [{ host, pid: 77 }], 9000).split('\n')).toEqual([
    'link add h1 mtu 9000 type veth peer name eth0 mtu 9000 netns 77',
    'address add 192.168.240.5/30 dev h1',
    'link set h1 up',
    '',
  ]);
  expect(hostBatch(host).split('\n')).toEqual([
    'link set lo up',
    'address add 192.168.240.6/30 dev eth0',
    'link set eth0 up',
    'route add default via 192.168.240.5',
    '',
  ]);
});

test('to a direct underlay the MAC address of a host names its port', () => {
  expect(underlayBatch('direct', [{ host: h1, pid: 77 }], 1500).split('\n')).toEqual([
    'link add h1 index 256 mtu 1500 type veth peer name eth0 address 02:4d:67:7a:01:00 mtu 1500 netns 77',
    'link set h1 up',
    '',
  ]);
  expect(portOf(999)).toEqual({ number: 1255, mac: '02:4d:67:7a:04:e7' });
});

test.each([
  ['no hosts', { hosts: 0 }, 'OUT_OF_RANGE'],
  ['too many hosts', { hosts: 1001 }, 'OUT_OF_RANGE'],
  ['half a controller', { controllers: 0.5 }, 'OUT_OF_RANGE'],
  ['an MTU too small for IPv6', { underlay_mtu: 1279 }, 'OUT_OF_RANGE'],
  ['an unknown underlay', { underlay: 'token ring' as Underlay }, 'UNKNOWN_UNDERLAY'],
  ['a relative directory', { paths: layout('dev') }, 'BAD_DIRECTORY'],
  ['a directory too deep for a unix socket', { paths: layout(`/run/${'d'.repeat(80)}`) }, 'BAD_DIRECTORY'],
])('refused: %s', (_, wanted, reason) => {
  const good = { hosts: 3, controllers: 1, underlay: 'bridge' as const, underlay_mtu: 1500, paths };
  expect(() => validate(good)).not.toThrow();
  expect(() => validate({ ...good, ...wanted })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', reason }));
});
