/** Real etcd processes and a faulty network for tests. Not for production code. */
export { type Etcd, type EtcdOptions, startEtcd } from './etcd';
export { type FaultyProxy, startProxy } from './proxy';
