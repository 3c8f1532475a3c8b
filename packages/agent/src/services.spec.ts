import { join } from 'node:path';
import { formatAddress } from '@megrez/model';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { bundleAgent, startHost, type TestHost } from './testing/host';
import { serviceChange, serviceDeletion, subnetChange, tableChange, vpcChange } from './testing/intent';
import { type Relay, startRelay } from './testing/relay';

const other = { host: 'h2', address: '192.0.2.2' };
const self = { host: 'h1', address: '192.0.2.1' };

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

/** `address`, `address:port`, and `address:port number backend:port` of every row. */
const rows = async (): Promise<readonly string[]> => {
  const services = (await host.map('services')).map(({ key }) => formatAddress(key.ip));
  const ports = (await host.map('service_ports')).map(
    ({ key, value }) => `${formatAddress(key.ip)}:${key.port} has ${value.backends}`,
  );
  const backends = (await host.map('backends')).map(
    ({ key: { service, number }, value }) =>
      `${formatAddress(service.ip)}:${service.port} ${number} is ${formatAddress(value.ip)}:${value.port}`,
  );
  return [...services, ...ports, ...backends].sort();
};

test('services of the slots that a host holds are rows, and nothing of them stays', async () => {
  host.start(relay.address);
  const session = await host.alive(relay.session());
  await session.send([vpcChange(), subnetChange(), tableChange(self), serviceChange({}, [80, 443], [2, 3], 10)], {
    snapshot: true,
    end: true,
  });
  const shop = [
    '10.0.1.9',
    '10.0.1.9:443 0 is 10.0.1.2:8443',
    '10.0.1.9:443 1 is 10.0.1.3:8443',
    '10.0.1.9:443 has 2',
    '10.0.1.9:80 0 is 10.0.1.2:8080',
    '10.0.1.9:80 1 is 10.0.1.3:8080',
    '10.0.1.9:80 has 2',
  ];
  expect(await rows()).toEqual(shop);
  expect((await session.send([serviceChange({}, [80], [3], 11)])).failures).toEqual([]);
  const store = ['10.0.1.9', '10.0.1.9:80 0 is 10.0.1.3:8080', '10.0.1.9:80 has 1'];
  expect(await rows()).toEqual(store);
  // The address goes to the next service in one message, whichever is looked at first.
  await session.send([serviceDeletion('shop', 12), serviceChange({ name: 'store' }, [80], [3], 13)]);
  expect(await rows()).toEqual(store);
  await session.send([serviceDeletion('store', 14), serviceChange({}, [80], [3], 15)]);
  expect(await rows()).toEqual(store);
  await session.send([tableChange(other, 16)]);
  expect(await rows()).toEqual([]);
  await session.send([tableChange(self, 17), serviceChange({}, [443, 80], [2, 3], 15)]);
  expect(await rows()).toEqual(shop);
  await session.send([serviceDeletion('shop', 18)]);
  expect(await rows()).toEqual([]);
});

test('what changed while the agent was away is right when its snapshot is complete', async () => {
  host.start(relay.address);
  const named = [vpcChange(), subnetChange(), tableChange(self)];
  const first = await host.alive(relay.session());
  const gone = serviceChange({ name: 'gone', ip: '10.0.1.10' }, [80], [2], 11);
  await first.send([...named, serviceChange({}, [80, 443], [2, 3], 10), gone], { snapshot: true, end: true });
  await host.kill();
  expect((await rows()).length).toBe(10);
  host.start(relay.address);
  const second = await host.alive(relay.session());
  await second.send([...named, serviceChange({}, [443], [3], 12)], { snapshot: true, end: true });
  expect(await rows()).toEqual(['10.0.1.9', '10.0.1.9:443 0 is 10.0.1.3:8443', '10.0.1.9:443 has 1']);
});
