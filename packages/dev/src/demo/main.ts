// `npm run demo`. Starts a cluster of its own, tells the story, and leaves nothing behind, also after Ctrl-C.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { connect } from '@megrez/client';
import { MegrezError } from '@megrez/model';
import { devDown } from '../down';
import { withEnvironment } from '../identity';
import { layout } from '../layout';
import { clusterVariable } from '../processes';
import { readCluster } from '../state';
import { devUp } from '../up';
import { type Narrator, NotAsTold, narrator, round } from './narrate';
import { tellStory } from './story';

async function play(dir: string, tell: Narrator, signal: AbortSignal): Promise<void> {
  tell.step('A private etcd, a controller and five hosts start');
  const started = performance.now();
  const cluster = await devUp({ dir, hosts: 5, onProgress: (line) => tell.told(line) });
  tell.told(`all of it took ${round((performance.now() - started) / 1000)} s`);
  const client = connect(cluster.server, { deadline_ms: 30_000 });
  try {
    await tellStory({ cluster, client, tell, signal });
  } finally {
    client.close();
  }
}

/** Ends the cluster and tells that nothing of it is left. */
async function close(dir: string, tell: Narrator): Promise<void> {
  const id = readCluster(layout(dir))?.id;
  if (id === undefined) {
    return;
  }
  tell.step('The cluster ends');
  const { ended } = await devDown({ dir });
  const left = withEnvironment(clusterVariable, id).length;
  tell.told(`${ended} processes ended, ${left} are left; their namespaces went with them`, left === 0);
  tell.told(`${dir} is gone`, !existsSync(dir));
}

/** @returns the exit code */
async function demo(): Promise<number> {
  const interrupt = new AbortController();
  let code = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      code = 128 + constants.signals[name];
      interrupt.abort();
    });
  }
  const tell = narrator((text) => process.stdout.write(text), process.stdout.isTTY);
  const dir = join(mkdtempSync('/run/megrez-demo-'), 'dev');
  try {
    try {
      await play(dir, tell, interrupt.signal);
    } finally {
      await close(dir, tell);
    }
  } catch (error) {
    if (interrupt.signal.aborted) {
      process.stderr.write('interrupted; nothing is left\n');
      return code;
    }
    if (!(error instanceof NotAsTold || error instanceof MegrezError)) {
      throw error;
    }
    process.stderr.write(`demo: ${error.message}\n`);
    return 1;
  } finally {
    rmSync(dirname(dir), { recursive: true, force: true });
  }
  process.stdout.write('\nAll as told.\n');
  return code;
}

process.exitCode = await demo();
