/** A real etcd, real controllers and protocol peers for agents, for specs; everything goes with `close`. */
import { LeaderRecord } from '@megrez/model';
import { keys, openStore } from '@megrez/store';
import { type Etcd, type EtcdOptions, startEtcd } from '@megrez/store/testing';
import { type Controller, type ControllerOptions, startController } from '../index';
import { type Api, connectApi } from './api';
import { connectPeer, type Peer, type PeerOptions } from './peer';

export interface Cluster {
  readonly etcd: Etcd;
  readonly controllers: readonly Controller[];
  readonly api: Api;
  readonly peers: ReadonlyMap<string, Peer>;
  controller(options?: Partial<ControllerOptions>): Promise<Controller>;
  apiOf(controller: Controller): Api;
  /** Connects host `hN` (address 192.168.0.N) to a controller, by default the first. */
  peer(number: number, options?: Partial<PeerOptions>): Promise<Peer>;
  /** Key -> value (base64) of the whole store, without what comes and goes with processes. */
  dump(): Promise<Record<string, string>>;
  close(): Promise<void>;
}

export const startCluster = async ({
  hosts = 3,
  controllers = 1,
  etcd: options = {},
  lead = true,
}: {
  hosts?: number;
  controllers?: number;
  etcd?: EtcdOptions;
  /** False: a leader that does nothing holds the key, so that tables are what a spec writes. */
  lead?: boolean;
} = {}): Promise<Cluster> => {
  const etcd = await startEtcd(options);
  const running: Controller[] = [];
  const apis: Api[] = [];
  const peers = new Map<string, Peer>();
  const cluster: Cluster = {
    etcd,
    controllers: running,
    peers,
    get api() {
      return apis[0] as Api;
    },
    controller: async (options = {}) => {
      const controller = await startController({
        listen: ['127.0.0.1:0'],
        etcd: [etcd.endpoint],
        underlayPrefixes: ['192.168.0.0/16'],
        log: process.env.LOG ?? 'silent',
        ...options,
      });
      running.push(controller);
      apis.push(connectApi(controller.addresses[0] as string));
      return controller;
    },
    apiOf: (controller) => apis[running.indexOf(controller)] as Api,
    peer: async (number, options = {}) => {
      const server = running[0]?.addresses[0] as string;
      const host = `h${number}`;
      const peer = await connectPeer({ server, host, address: `192.168.0.${number}`, ...options });
      peers.get(host)?.close();
      peers.set(host, peer);
      return peer;
    },
    dump: () => dump(etcd.endpoint),
    close: async () => {
      for (const peer of peers.values()) peer.close();
      for (const api of apis) api.close();
      await Promise.all(running.map((controller) => controller.close()));
      await etcd.close();
    },
  };
  try {
    if (!lead) await holdLeaderKey(etcd);
    for (let n = 0; n < controllers; n += 1) await cluster.controller();
    for (let n = 1; n <= hosts; n += 1) await cluster.peer(n);
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
};

const holdLeaderKey = async ({ endpoint }: Etcd): Promise<void> => {
  const store = await openStore({ endpoints: [endpoint] });
  await store.txn([], [{ kind: 'put', key: keys.leader(), value: LeaderRecord.create({ incarnation: 'spec' }) }]);
  await store.close();
};

const passing = ['/megrez/v1/sessions/', '/megrez/v1/relays/', '/megrez/v1/leader'];

const dump = async (endpoint: string): Promise<Record<string, string>> => {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  const response = await fetch(`${endpoint}/v3/kv/range`, {
    method: 'POST',
    body: JSON.stringify({ key: encode('/megrez/v1/'), range_end: encode('/megrez/v10') }),
  });
  const { kvs = [] } = (await response.json()) as { kvs?: { key: string; value?: string }[] };
  const entries = kvs.map(({ key, value = '' }): [string, string] => [Buffer.from(key, 'base64').toString(), value]);
  return Object.fromEntries(entries.filter(([key]) => !passing.some((prefix) => key.startsWith(prefix))));
};

/** VPC acme with subnet web, its bouncers pinned when named. */
export const startAcme = async (
  api: Api,
  { bouncers = 0, bouncerHosts = [] as string[], cidr = '10.0.1.0/24' } = {},
): Promise<void> => {
  await api.call('createVpc', { name: 'acme', cidrs: ['10.0.0.0/16'] });
  await api.call('createSubnet', { vpc: 'acme', name: 'web', cidrs: [cidr], bouncers, bouncerHosts });
};
