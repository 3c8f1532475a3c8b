import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { KernelError } from './error';

/** A descriptor owned by the addon; freed with the garbage, closed by `close`. */
export type Handle = object;

export interface NativeHandle {
  readonly handle: Handle;
  readonly name: string;
  readonly type: string;
  readonly id: number;
}

export interface NativeMap extends NativeHandle {
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

/** Functions whose shapes are not the public ones. */
interface Shaped {
  init(errorClass: typeof KernelError): void;
  close(handle: Handle): void;
  closeWatch(watch: object): void;
  loadObject(options: object): Promise<{ maps: NativeMap[]; programs: NativeHandle[] }>;
  openPinnedMap(options: { path: string }): NativeMap;
  createMap(options: object): NativeMap;
  mapLookup(handle: Handle, key: Uint8Array): Buffer | undefined;
  mapUpdate(handle: Handle, key: Uint8Array, value: Uint8Array, flags: number): void;
  mapDelete(handle: Handle, key: Uint8Array): boolean;
  mapLookupBatch(options: object): Promise<{ found: Buffer; values: Buffer }>;
  mapUpdateBatch(options: object): Promise<void>;
  mapDeleteBatch(options: object): Promise<number>;
  mapEntries(options: object): Promise<{ count: number; keys?: Buffer; values?: Buffer }>;
  mapPin(options: { handle: Handle; path: string }): void;
  openPinnedProgram(options: { path: string }): NativeHandle;
  programPin(options: { handle: Handle; path: string }): void;
  openRingBuffer(options: { handle: Handle; onData: (data: Buffer) => void }): object;
  watchNeighbours(options: object): object;
  watchRoutes(options: object): object;
  noteExpediting(options: { path: string }): boolean;
  trimMemory(): void;
}

/** Functions that take and return just what their public wrapper, one line each, declares. */
type PassedThrough =
  | 'addAddress'
  | 'addRoute'
  | 'attachTcx'
  | 'attachXdp'
  | 'createBridge'
  | 'createEndpointInterface'
  | 'createNetns'
  | 'createTap'
  | 'createTunnel'
  | 'createVeth'
  | 'deleteAddress'
  | 'deleteLink'
  | 'deleteNeighbour'
  | 'deleteNetns'
  | 'deleteRoute'
  | 'detach'
  | 'driverOf'
  | 'getFeatures'
  | 'getLink'
  | 'getNeighbour'
  | 'getSysctl'
  | 'linkInfo'
  | 'listLinks'
  | 'listRoutes'
  | 'mountBpffs'
  | 'programInfo'
  | 'routeGet'
  | 'setFeatures'
  | 'setLink'
  | 'setNeighbour'
  | 'setRps'
  | 'setSysctl'
  | 'testRun'
  | 'unmount';

// Each wrapper states the result that its native call has.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- inferred from the wrapper
type Native = Shaped & Record<PassedThrough, <Result>(options: object) => Result>;

// Beside the bundle in a release; in the repository's dist/ when run from source.
const candidates = ['./kernel.node', '../../../dist/kernel.node'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

const load = (): Native => {
  const path = candidates.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new Error(`kernel.node is missing (looked for ${candidates.join(', ')}): run node packages/kernel/build.mjs`);
  }
  const addon = createRequire(import.meta.url)(path) as Native;
  addon.init(KernelError);
  return addon;
};

export const native: Native = load();
