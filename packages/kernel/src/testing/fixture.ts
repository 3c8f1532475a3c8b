import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deleteLink } from '../interface';
import { createNetns, deleteNetns } from '../network';
import { mountBpffs, unmount } from '../object';

/** A temporary directory with a bpffs of its own; everything made through it goes with `dispose`. */
export interface Fixture {
  readonly directory: string;
  readonly bpffs: string;
  /** Compiles the sample, or other BPF source, and gives the object's path. */
  compile(source?: string, name?: string): string;
  netns(name: string): Promise<string>;
  /** A unique interface name of ours, deleted at the end if it is still there. */
  ifname(): string;
  dispose(): Promise<void>;
}

const sample = fileURLToPath(new URL('./sample.bpf.c', import.meta.url));

export const createFixture = async (): Promise<Fixture> => {
  const directory = mkdtempSync(join(tmpdir(), 'megrez-kernel-'));
  const bpffs = join(directory, 'bpf');
  mkdirSync(bpffs);
  await mountBpffs(bpffs);
  const machine = execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim();
  const names: string[] = [];
  const namespaces: string[] = [];
  return {
    directory,
    bpffs,
    compile: (source, name = 'sample') => {
      const output = join(directory, `${name}.o`);
      const input = source === undefined ? sample : join(directory, `${name}.bpf.c`);
      if (source !== undefined) writeFileSync(input, source);
      const flags = ['-O2', '-g', '-target', 'bpf', `-I/usr/include/${machine}-linux-gnu`];
      execFileSync('clang', [...flags, '-c', input, '-o', output]);
      return output;
    },
    netns: async (name) => {
      const path = join(directory, name);
      await createNetns(path);
      namespaces.push(path);
      return path;
    },
    ifname: () => {
      const name = `mk${process.pid}x${names.length}${Math.random().toString(36).slice(2, 5)}`.slice(0, 15);
      names.push(name);
      return name;
    },
    dispose: async () => {
      for (const name of names) await deleteLink({ name }).catch(() => false);
      for (const path of namespaces) await deleteNetns(path).catch(() => undefined);
      await unmount(bpffs);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

/** The error a call ends with; fails the test when there is none. */
export const refusal = async (
  call: () => unknown,
): Promise<Error & { code?: string; object?: string; log?: string }> => {
  try {
    await call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was not refused');
};

export const u32 = (...values: readonly number[]): Buffer => {
  const buffer = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) buffer.writeUInt32LE(value, index * 4);
  return buffer;
};
