import { native } from './native';

/** Gives what the C heaps hold free back to the system, e.g. after a large batch. Takes a few milliseconds. */
export const trimMemory = (): void => {
  native.trimMemory();
};
