import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MapName, maps } from '@megrez/abi';
import { attachTcx, type BpfMap, type BpfObject, detach, linkInfo, loadObject, mountBpffs } from '@megrez/kernel';
import { MegrezError } from '@megrez/model';
import type { Logger } from 'pino';

/** The loaded programs and the pinned maps of this host. */
export interface Datapath {
  readonly object: BpfObject;
  readonly map: (name: MapName) => BpfMap;
  /** Where links are pinned. */
  readonly links: string;
  readonly endpointPin: (ifindex: number) => string;
  /** What the index follows in it. */
  readonly endpointPinPrefix: string;
}

// Beside the bundle in a release; in dist/ when run from source.
const candidates = ['./bpf/megrez.bpf.o', '../../../dist/bpf/megrez.bpf.o'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

const findObject = (path: string | undefined): string => {
  const found = path ?? candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return found;
  throw new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'OBJECT_MISSING',
    object: 'megrez.bpf.o',
    message: `the BPF object is missing (looked for ${candidates.join(', ')}): name it with --object`,
  });
};

const linkPattern = /^endpoint-(\d+)$/;

/**
 * Loads the object over the maps that are pinned already and puts its programs behind the links that are pinned already:
 * each replaced in one step, no packet in between sees none.
 */
export const openDatapath = async (
  options: { readonly bpffs: string; readonly object?: string | undefined; readonly nic: number },
  log: Logger,
): Promise<Datapath> => {
  await mountBpffs(options.bpffs);
  const pinDir = join(options.bpffs, 'megrez');
  const links = join(pinDir, 'links');
  mkdirSync(links, { recursive: true });
  const object = await loadObject(findObject(options.object), { pinDir });
  for (const name of Object.keys(maps) as MapName[]) object.map(name);
  const endpointPinPrefix = join(links, 'endpoint-');
  const endpointPin = (ifindex: number): string => `${endpointPinPrefix}${ifindex}`;

  let replaced = 0;
  for (const file of readdirSync(links)) {
    const match = linkPattern.exec(file);
    if (match === null) continue;
    const ifindex = Number(match[1]);
    const pin = endpointPin(ifindex);
    if (linkInfo(pin)?.ifindex !== ifindex) await detach(pin);
    else {
      await attachTcx(object.program('endpoint'), ifindex, { pin, direction: 'ingress' });
      replaced += 1;
    }
  }
  await attachTcx(object.program('nic'), options.nic, { pin: join(links, 'nic'), direction: 'ingress' });
  log.info({ links, endpoints: replaced }, 'programs attached');
  return { object, map: (name) => object.map(name), links, endpointPin, endpointPinPrefix };
};

/** Interfaces with a pinned link of ours. */
export const linkedInterfaces = ({ links }: Datapath): readonly number[] =>
  readdirSync(links).flatMap((file) => {
    const match = linkPattern.exec(file);
    return match === null ? [] : [Number(match[1])];
  });
