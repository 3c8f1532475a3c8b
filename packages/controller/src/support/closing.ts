/** What must be closed, in the reverse of the order in which it was opened. */
export interface Closing {
  /** Aborted when closing begins. */
  readonly signal: AbortSignal;
  add(what: string, close: () => Promise<void>): void;
  /** Once; later calls wait for the first. A part that cannot be closed does not keep the others open. */
  readonly close: () => Promise<void>;
}

export const closing = (failed: (error: unknown, what: string) => void): Closing => {
  const controller = new AbortController();
  const parts: { readonly what: string; readonly close: () => Promise<void> }[] = [];
  let done: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    controller.abort();
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      try {
        await part.close();
      } catch (error) {
        failed(error, part.what);
      }
    }
  };
  return {
    signal: controller.signal,
    add: (what, close) => {
      parts.push({ what, close });
    },
    close: () => {
      done ??= run();
      return done;
    },
  };
};
