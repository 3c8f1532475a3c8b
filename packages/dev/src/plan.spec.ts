import fc from 'fast-check';
import { expect, test } from 'vitest';
import { validate } from './arguments';
import { cpuMask, underlayBatch } from './holder';
import { layout } from './layout';
import { agentArguments, controllerArguments, planControllers, planHosts } from './plan';

const paths = layout('/run/x');

test('hosts are named h1, h2 … and their addresses follow 192.168.240.10', () => {
  expect(planHosts(2)).toEqual([
    { name: 'h1', address: '192.168.240.11' },
    { name: 'h2', address: '192.168.240.12' },
  ]);
  expect(planHosts(300).at(-1)).toEqual({ name: 'h300', address: '192.168.241.54' });
});

test('addresses of all hosts are different, and none is the network or broadcast address of the /20', () => {
  const addresses = planHosts(1000).map(({ address }) => address);
  expect(new Set(addresses).size).toBe(1000);
  expect(addresses).not.toContain('192.168.255.255');
});

test('an agent is told every controller, by sockets that cross network namespaces', () => {
  const args = agentArguments(paths, planControllers(2), { name: 'h1', address: '192.168.240.11' });
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
  expect(underlayBatch([{ name: 'h1', pid: 77 }], 1500).split('\n')).toEqual([
    'link add underlay mtu 1500 type bridge mcast_snooping 0',
    'link set underlay up',
    'link add h1 mtu 1500 type veth peer name eth0 mtu 1500 netns 77',
    'link set h1 master underlay up',
    '',
  ]);
});

test.each([
  ['no hosts', { hosts: 0 }, 'OUT_OF_RANGE'],
  ['too many hosts', { hosts: 1001 }, 'OUT_OF_RANGE'],
  ['half a controller', { controllers: 0.5 }, 'OUT_OF_RANGE'],
  ['an MTU too small for IPv6', { underlay_mtu: 1279 }, 'OUT_OF_RANGE'],
  ['a relative directory', { paths: layout('dev') }, 'BAD_DIRECTORY'],
  ['a directory too deep for a unix socket', { paths: layout(`/run/${'d'.repeat(80)}`) }, 'BAD_DIRECTORY'],
])('refused: %s', (_, wanted, reason) => {
  const good = { hosts: 3, controllers: 1, underlay_mtu: 1500, paths };
  expect(() => validate(good)).not.toThrow();
  expect(() => validate({ ...good, ...wanted })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', reason }));
});
