import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { ControllerOptions } from '../index';

export interface ControllerProcess {
  readonly address: string;
  /** SIGSTOP: the kernel still accepts connections, nobody answers. */
  stop(): void;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Starts a controller as a bundle, as it is shipped. It dies with this process. */
export const spawnController = async (options: ControllerOptions): Promise<ControllerProcess> => {
  const dir = mkdtempSync(join(tmpdir(), 'megrez-controller-'));
  const outfile = join(dir, 'controller.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'controller-process.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    logLevel: 'error',
  });
  const args = ['--pdeathsig', 'KILL', process.execPath, outfile, JSON.stringify(options)];
  const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await gone;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const [address = ''] = JSON.parse(await firstLine(child)) as string[];
    return { address, stop: () => void child.kill('SIGSTOP'), kill };
  } catch (error) {
    await kill();
    throw error;
  }
};

const firstLine = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', (code) => reject(new Error(`the controller ended with ${code}`)));
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
    });
  });
