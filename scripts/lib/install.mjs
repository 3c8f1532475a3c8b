// npm packages: pnpm of a pinned version, fetched once into .cache, installs what the lockfile says.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cache, node, root } from './paths.mjs';
import { done, files, hash, isDone } from './stamp.mjs';
import { must, step } from './step.mjs';

const version = '12.21.0';

const hint = (output) =>
  output.includes('ERR_PNPM_OUTDATED_LOCKFILE')
    ? `A package.json was changed without pnpm-lock.yaml. Make it follow with: npx pnpm@${version} install`
    : 'Is the network up? Setup needs the npm registry, the first time.';

export function lockedInputs() {
  const manifests = files(join(root, 'packages'), (path) => path.endsWith('/package.json'));
  const tests = files(join(root, 'test'), (path) => path.endsWith('/package.json'));
  const names = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'].map((name) => join(root, name));
  return hash([...names, ...manifests, ...tests], version);
}

async function pnpm() {
  const home = join(cache, `pnpm/${version}`);
  const program = join(home, 'node_modules/.bin/pnpm');
  if (!existsSync(program)) {
    await step(`npm: pnpm ${version} into .cache/pnpm`, () => {
      // Beside this node, so that another npm in the PATH cannot meet a Node it does not know.
      const beside = join(dirname(process.execPath), 'npm');
      const patience = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];
      const args = [
        'install',
        '--prefix',
        home,
        '--no-audit',
        '--no-fund',
        '--no-save',
        ...patience,
        `pnpm@${version}`,
      ];
      return must(existsSync(beside) ? beside : 'npm', args, { cwd: cache, hint });
    });
  }
  return program;
}

export async function installDependencies() {
  const inputs = lockedInputs();
  if (isDone('install', inputs, [node, join(root, 'node_modules/.modules.yaml')])) {
    return;
  }
  const program = await pnpm();
  const count = readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8').match(/^ {2}\S.*:$/gm)?.length ?? 0;
  await step(`pnpm: install what pnpm-lock.yaml says (about ${Math.round(count / 2)} packages)`, () =>
    must(program, ['install', '--frozen-lockfile'], { env: { CI: 'true' }, hint }),
  );
  done('install', inputs);
}
