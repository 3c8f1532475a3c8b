/**
 * The only door to BPF and netlink: a typed face of the N-API addon in native/ (libbpf and libnl-route). Everything
 * slow returns a promise and runs on a worker thread; refusals are KernelErrors, misuse is a TypeError or RangeError.
 */
export { KernelError, type KernelErrorFields } from './error';
export * from './interface';
export * from './map';
export * from './memory';
export * from './network';
export * from './object';
export * from './program';
