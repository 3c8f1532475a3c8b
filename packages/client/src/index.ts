export { type Client, type ConnectOptions, connect } from './client';
export { errorTrailer, toMegrezError } from './error';
export { defaultServer, standardServer, validateServer } from './server';
