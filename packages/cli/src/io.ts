/** Where a command writes and what it reads from its surroundings; the process's own outside tests. */
export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Width of the terminal that stdout is; absent when it is none. */
  readonly columns?: number | undefined;
}

export const processIo: Io = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  env: process.env,
  get columns() {
    // A terminal that does not know its size says 0.
    return process.stdout.isTTY ? process.stdout.columns || 80 : undefined;
  },
};

/** Ends a command that has already written all there is to say. */
export class Exit extends Error {
  constructor(readonly exitCode: number) {
    super(`exit code ${exitCode}`);
    this.name = 'Exit';
  }
}
