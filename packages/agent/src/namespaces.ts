import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createNetns, deleteNetns, getLink } from '@megrez/kernel';
import type { Endpoint } from '@megrez/model';
import { isKernelError } from './failure';
import { namespaceFile } from './names';

/** The network namespaces that the agent makes, each kept by a bind mount in one directory. */
export interface Namespaces {
  pathOf(endpoint: Endpoint): string;
  /** Makes it unless it is there; a file that somebody's unmount left behind is replaced. Resolves to whether it did. */
  ensure(path: string): Promise<boolean>;
  /** No error when somebody else removed it. Processes inside keep their namespace, without a way out. */
  remove(path: string): Promise<void>;
  list(): readonly string[];
}

export const openNamespaces = (state: string): Namespaces => {
  const directory = join(state, 'netns');
  mkdirSync(directory, { recursive: true });

  const remove = async (path: string): Promise<void> => {
    try {
      await deleteNetns(path);
    } catch (error) {
      if (!isKernelError(error, 'ENOENT')) throw error;
    }
  };

  return {
    pathOf: (endpoint) => join(directory, namespaceFile(endpoint)),
    remove,
    list: () => readdirSync(directory).map((name) => join(directory, name)),
    ensure: async (path) => {
      try {
        await createNetns(path);
        return true;
      } catch (error) {
        if (!isKernelError(error, 'EEXIST')) throw error;
      }
      if (await isNamespace(path)) return false;
      await remove(path);
      await createNetns(path);
      return true;
    },
  };
};

/** Is a network namespace mounted there? */
export const isNamespace = async (path: string): Promise<boolean> => {
  try {
    return (await getLink({ name: 'lo', netns: path })) !== undefined;
  } catch (error) {
    if (isKernelError(error, 'ENOENT', 'ENOTDIR', 'EINVAL', 'EACCES')) return false;
    throw error;
  }
};
