export { type Client, type ConnectOptions, connect } from './client';
export { errorTrailer, toMegrezError } from './error';
export { firstReachable } from './reachable';
export { defaultServers, standardServer, validateServer } from './server';
