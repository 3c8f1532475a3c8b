import { BpfMap } from './map';
import { native } from './native';
import { BpfProgram } from './program';

export interface LoadOptions {
  /** A directory on a bpffs (made if its parent exists): maps pinned there by name are reused, others pinned. */
  readonly pinDir?: string;
  /** `volatile const` variables by name; each Buffer must have the variable's size. */
  readonly rodata?: Readonly<Record<string, Uint8Array>>;
  /** Changes to maps before they are made. */
  readonly maps?: Readonly<Record<string, { readonly maxEntries?: number; readonly noPrealloc?: boolean }>>;
  /** BTF to relocate against instead of the running kernel's. */
  readonly btfCustom?: string;
}

/** The programs and maps of one object file. */
export class BpfObject {
  readonly maps: readonly BpfMap[];
  readonly programs: readonly BpfProgram[];

  constructor(maps: readonly BpfMap[], programs: readonly BpfProgram[]) {
    this.maps = maps;
    this.programs = programs;
  }

  /** Throws when the object has no such map: the caller's mistake. */
  map(name: string): BpfMap {
    const found = this.maps.find((map) => map.name === name);
    if (found === undefined) throw new Error(`the object has no map ${name}`);
    return found;
  }

  /** Throws when the object has no such program: the caller's mistake. */
  program(name: string): BpfProgram {
    const found = this.programs.find((program) => program.name === name);
    if (found === undefined) throw new Error(`the object has no program ${name}`);
    return found;
  }

  /** Closes every map and program. Pins and attachments stay. Closing twice is no error. */
  close(): void {
    for (const map of this.maps) map.close();
    for (const program of this.programs) program.close();
  }
}

/**
 * Loads every program of an object file and attaches none. Maps of global data (`.rodata` …) are never pinned.
 * Errors, all with libbpf's `log`: EINVAL naming the pinned map that is incompatible and how, or that pinDir is on no
 * bpffs; ENOENT for a constant or map the object does not have; what the verifier says (EACCES, EINVAL, E2BIG). A
 * load that fails leaves no new pins.
 */
export const loadObject = async (path: string, options: LoadOptions = {}): Promise<BpfObject> => {
  const { maps, programs } = await native.loadObject({
    path,
    pinDir: options.pinDir,
    btfCustom: options.btfCustom,
    constants: Object.entries(options.rodata ?? {}).map(([name, value]) => ({ name, value })),
    maps: Object.entries(options.maps ?? {}).map(([name, settings]) => ({ name, ...settings })),
  });
  return new BpfObject(
    maps.map((map) => new BpfMap(map)),
    programs.map((program) => new BpfProgram(program)),
  );
};

/** Makes the directory `path` and mounts a bpffs on it, unless it lies on one already. Errors: EPERM, ENOENT. */
export const mountBpffs = async (path: string): Promise<void> => native.mountBpffs({ path });

/** Unmounts lazily. Errors: EINVAL when nothing is mounted there. */
export const unmount = async (path: string): Promise<void> => native.unmount({ path });
